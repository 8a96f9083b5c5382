"""Which GPUs are here, and the one sentence that says why none is."""

import sys

import pytest

from aquatint.runtime.cuda.device import Gpu, check, driver_version, first_gpu, free_bytes, gpus
from aquatint.runtime.errors import MissingPackage, OutOfMemory, SessionFailed, TargetMismatch
from aquatint.tests.stand_ins.machine import Card


def test_a_gpu_is_known_by_its_name_architecture_and_memory(gpu):
    assert first_gpu() == Gpu(0, "NVIDIA GeForce RTX 4090", "sm89", 8 << 30)


@pytest.mark.parametrize("card, architecture", [(Card("T4", 7, 5), "sm75"), (Card("B200", 10, 0), "sm100")])
def test_an_architecture_is_written_as_compilers_write_it(gpu, card, architecture):
    gpu.cards = [card]
    assert first_gpu().architecture == architecture


def test_the_first_of_several_is_worked_on(gpu):
    gpu.cards = [Card("one", 8, 6), Card("two", 9, 0)]
    assert [found.name for found in gpus()] == ["one", "two"]
    assert first_gpu().name == "one"


def test_free_memory_is_what_others_leave(gpu):
    gpu.total_bytes, gpu.others_bytes = 1000, 300
    assert free_bytes() == 700


def test_the_driver_is_named_by_its_release(gpu):
    gpu.driver = 12080
    assert driver_version() == "12.8"


def test_without_a_driver_it_says_so(gpu):
    gpu.driver = 0
    with pytest.raises(TargetMismatch, match=r"^no NVIDIA driver is installed here, or this process may not see it"):
        gpus()


def test_an_old_driver_is_told_what_would_do(gpu):
    gpu.driver, gpu.bindings = 12040, 13050
    said = (
        r"^the NVIDIA driver runs CUDA 12\.4, cuda-bindings was made for 13\.5: "
        r'install a newer driver, or pip install "cuda-bindings<13"$'
    )
    with pytest.raises(TargetMismatch, match=said):
        gpus()


def test_a_driver_without_a_gpu_says_what_cuda_says(gpu):
    gpu.cards = []
    said = r"^the NVIDIA driver \(CUDA 13\.0\) shows no GPU \(no CUDA-capable device is detected\)"
    with pytest.raises(TargetMismatch, match=said):
        gpus()


def test_without_cuda_bindings_it_says_what_to_install(gpu, monkeypatch):
    import cuda.bindings

    monkeypatch.delattr(cuda.bindings, "runtime")
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    with pytest.raises(MissingPackage, match=r'^this needs cuda-bindings; pip install "aquatint\[cuda\]"$'):
        gpus()


def test_an_error_has_cudas_name_and_words(gpu):
    from cuda.bindings import runtime as cudart

    with pytest.raises(SessionFailed, match=r"^CUDA: cudaErrorInvalidValue \(invalid argument\)$"):
        check(cudart.cudaFree(4096))


def test_the_drivers_errors_are_names_alone(gpu):
    from cuda.bindings import driver

    with pytest.raises(SessionFailed, match=r"^CUDA: CUDA_ERROR_INVALID_CONTEXT$"):
        check(driver.cuModuleLoadData(b"\0"))


def test_too_little_memory_is_an_error_of_its_own(gpu):
    from cuda.bindings import driver
    from cuda.bindings import runtime as cudart

    with pytest.raises(OutOfMemory, match="cudaErrorMemoryAllocation"):
        check(cudart.cudaMalloc(1 << 40))
    with pytest.raises(OutOfMemory, match="CUDA_ERROR_OUT_OF_MEMORY"):
        check((driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY,))


def test_what_a_call_gives_comes_as_nothing_a_value_or_several(gpu):
    from cuda.bindings import runtime as cudart

    assert check(cudart.cudaSetDevice(0)) is None
    assert check(cudart.cudaGetDeviceCount()) == 1
    assert check(cudart.cudaMemGetInfo()) == (8 << 30, 8 << 30)
