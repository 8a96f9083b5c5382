"""Every name of cuda-bindings that our code uses exists there, and is called as it takes it; no GPU is needed."""

from pathlib import Path

import pytest

import aquatint
from aquatint.tests.contracts.cuda_walk import walk_cuda

runtime = pytest.importorskip("cuda.bindings.runtime")
driver = pytest.importorskip("cuda.bindings.driver")

PACKAGE = Path(aquatint.__file__).parent
LEAST = 20  # names; an empty walk would pass too


@pytest.fixture
def blame():
    """Source -> what is found wrong with it."""

    def find(source):
        return [finding.text for finding in walk_cuda({"ours.py": source}, runtime, driver).findings]

    return find


def test_our_code_uses_only_names_that_cuda_bindings_has():
    files = sorted(PACKAGE.glob("runtime/cuda/*.py"))
    sources = {file.relative_to(PACKAGE).as_posix(): file.read_text("utf-8") for file in files}
    walked = walk_cuda(sources, runtime, driver)
    assert not walked.findings, "\n" + "\n".join(map(str, walked.findings))
    assert len(walked.names) >= LEAST


@pytest.mark.parametrize(
    "source, said",
    [
        ("cudart.cudaMallocs(1)", "has no cudaMallocs"),
        ("self._cudart.cudaMallocs(1)", "has no cudaMallocs"),
        ("bindings().cudaMallocs(1)", "has no cudaMallocs"),
        ("driver.cuStart(0)", "has no cuStart"),
        ("cudart.cudaMemcpyKind.cudaMemcpyUp", "cudart.cudaMemcpyKind has no cudaMemcpyUp"),
        ("getattr(cudart.cudaMemcpyKind, 'cudaMemcpyUp')", "cuda.bindings has no cudaMemcpyUp"),
        ("cudart.cudaMemcpyAsync(1, 2, 3, 4)", "missing a required argument: 'stream'"),
        ("cudart.cudaMalloc(1, 2)", "too many positional arguments"),
        ("cudart.cudaMalloc(bytes=1)", "missing a required argument: 'size'"),
        ("a, b = cudart.cudaMemGetInfo()", "cudaMemGetInfo gives 3 things here, not 2"),
        ("a, b, c = check(cudart.cudaMemGetInfo())", "cudaMemGetInfo gives 2 things here, not 3"),
        ("p = check(cudart.cudaGetDeviceProperties(0))\np.clock", "cudaDeviceProp has no clock"),
        ("_, p = cudart.cudaGetDeviceProperties(0)\np.clock", "cudaDeviceProp has no clock"),
        ("from cuda.bindings import runtime", "call it cudart"),
        ("from cuda.bindings.runtime import cudaMalloc", "hides it"),
    ],
)
def test_a_wrong_line_is_found(blame, source, said):
    found = blame(source)
    assert len(found) == 1, found
    assert said in found[0]


def test_right_code_passes(blame):
    source = """
from cuda.bindings import driver
from cuda.bindings import runtime as cudart

error, count = cudart.cudaGetDeviceCount()
free, total = check(cudart.cudaMemGetInfo())
address = check(cudart.cudaMalloc(size=4))
(error,) = cudart.cudaFree(address)
error, words = cudart.cudaGetErrorString(error)
error, *values = cudart.cudaMemGetInfo()
check(driver.cuLaunchKernel(kernel, 1, 1, 1, 32, 1, 1, 0, 0, (values, kinds), 0))
check(cudart.cudaMemcpyAsync(*given, cudart.cudaMemcpyKind.cudaMemcpyHostToDevice, stream))
"""
    assert blame(source) == []
