"""An NVIDIA GPU and TensorRT that are not there, in place of the packages that reach them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from aquatint.runtime.cuda.memory import CudaMemory, shared_memory

from .cuda import driver_module, runtime_module
from .machine import Machine
from .tensorrt import TensorRT


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """One GPU of sm89 with 8 GiB; what wrote where it must not is found at the test's end."""
    real_runtime = pytest.importorskip("cuda.bindings.runtime")
    real_driver = pytest.importorskip("cuda.bindings.driver")
    import cuda.bindings

    machine = Machine()
    machine.real = {"runtime": real_runtime, "driver": real_driver}
    for name, module in {
        "runtime": runtime_module(machine, real_runtime),
        "driver": driver_module(machine, real_driver),
    }.items():
        monkeypatch.setitem(sys.modules, f"cuda.bindings.{name}", module)
        monkeypatch.setattr(cuda.bindings, name, module)
    shared_memory.cache_clear()
    yield machine
    shared_memory.cache_clear()
    machine.check()


@pytest.fixture
def memory(gpu: Machine) -> CudaMemory:
    """The GPU's memory, as sessions share it."""
    return shared_memory()


@pytest.fixture
def trt(gpu: Machine, monkeypatch: pytest.MonkeyPatch) -> TensorRT:
    """TensorRT 10.14 and its lean runtime on that GPU."""
    made = TensorRT(gpu, monkeypatch)
    made.install("10.14.1.48")
    return made
