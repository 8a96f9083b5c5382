"""The kernel's two forms, where a compiler for them is at hand: what they compute, and that they are the same."""

import ctypes
import re
import shutil
import subprocess

import numpy as np
import pytest

from aquatint.runtime.cuda.memory import KERNEL, THREADS

SOURCE = KERNEL.with_suffix(".cu")
ARCHITECTURES = (75, 80, 86, 87, 89, 90, 100, 120)
# A grid of threads on the host: one call for each, one after the other.
HOST = """
#include <cmath>
#include <cstdint>
struct Place { unsigned int x; };
static Place blockIdx, blockDim, threadIdx;
#define __global__
#include "combine.cu"
extern "C" void launch(const float *weights, const float *terms, float *to, unsigned int count,
                       unsigned long long elements, unsigned int blocks, unsigned int threads) {
  blockDim.x = threads;
  for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
    for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) combine(weights, terms, to, count, elements);
}
"""

needs = {
    tool: pytest.mark.skipif(shutil.which(tool) is None, reason=f"needs {tool}") for tool in ("ptxas", "nvcc", "g++")
}


@pytest.fixture(scope="module")
def launch(tmp_path_factory):
    """combine.cu on the host."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "host.cpp").write_text(HOST)
    library = folder / "combine.so"
    command = ["g++", "-O1", "-shared", "-fPIC", f"-I{SOURCE.parent}", "-o", str(library), str(folder / "host.cpp")]
    subprocess.run(command, check=True)
    found = ctypes.CDLL(str(library)).launch
    place, number, large = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64
    found.argtypes = (place, place, place, number, large, number, number)
    return found


@needs["ptxas"]
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_takes_the_kernel(tmp_path, architecture):
    target = tmp_path / "combine.cubin"
    subprocess.run(["ptxas", f"-arch=sm_{architecture}", "-o", str(target), str(KERNEL)], check=True)
    assert b"combine" in target.read_bytes()


@needs["nvcc"]
def test_the_kernel_is_what_the_compiler_makes_of_its_source(tmp_path):
    made = tmp_path / "made.ptx"
    subprocess.run(["nvcc", "-ptx", "-arch=compute_75", "-o", str(made), str(SOURCE)], check=True)
    assert _instructions(made.read_text()) == _instructions(KERNEL.read_text())


def test_the_kernel_asks_for_no_more_than_cuda_11():
    text = KERNEL.read_text()
    assert re.search(r"^\.version 7\.0$", text, re.M)
    assert re.search(r"^\.target sm_75$", text, re.M)


@needs["g++"]
@pytest.mark.parametrize("elements", [1, THREADS - 1, THREADS, THREADS + 1, 16385])
@pytest.mark.parametrize("count", [0, 1, 3, 17])
def test_the_source_makes_a_weighted_sum(launch, count, elements):
    rng = np.random.default_rng(count * elements)
    weights = rng.standard_normal(count).astype(np.float32)
    terms = rng.standard_normal((count, elements)).astype(np.float32)
    # Sums of 17 terms of about 1, in float32.
    np.testing.assert_allclose(_run(launch, weights, terms, elements), weights @ terms, atol=5e-6)


@needs["g++"]
def test_the_source_reads_no_term_of_weight_zero_and_writes_no_more_than_it_must(launch):
    terms = np.array([[1, 2, 3], [np.nan] * 3], np.float32)
    assert _run(launch, np.array([2, 0], np.float32), terms, 3).tolist() == [2, 4, 6]


def _run(launch, weights, terms, elements):
    blocks = -(-elements // THREADS)
    result = np.full(blocks * THREADS + 1, 7, np.float32)
    launch(weights.ctypes.data, terms.ctypes.data, result.ctypes.data, len(weights), elements, blocks, THREADS)
    assert (result[elements:] == 7).all()
    return result[:elements]


def _instructions(text):
    """Without comments, and without what names the compiler and its release."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.S)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith((".version", ".target"))]
