"""Which NVIDIA GPUs are here, or why none is."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ..errors import MissingPackage, OutOfMemory, SessionFailed, TargetMismatch

OUT_OF_MEMORY = ("cudaErrorMemoryAllocation", "CUDA_ERROR_OUT_OF_MEMORY")  # the runtime's name, and the driver's


@dataclass(frozen=True)
class Gpu:
    """One GPU.  architecture: "sm89" for compute capability 8.9."""

    index: int
    name: str
    architecture: str
    total_bytes: int


def gpus() -> list[Gpu]:
    """The GPUs, in CUDA's order (CUDA_VISIBLE_DEVICES counts).

    Raises MissingPackage without cuda-bindings, TargetMismatch where no driver or no GPU answers, saying why.
    """
    cudart = bindings()
    error, count = cudart.cudaGetDeviceCount()
    if error != cudart.cudaError_t.cudaSuccess or not count:
        raise TargetMismatch(_why(cudart, error))
    return [_gpu(cudart, index) for index in range(count)]


def first_gpu() -> Gpu:
    """The GPU that is worked on."""
    return gpus()[0]


def driver_version() -> str:
    """The CUDA release that the driver runs, such as "12.8"."""
    version = check(bindings().cudaDriverGetVersion())
    return f"{version // 1000}.{version % 1000 // 10}"


def free_bytes() -> int:
    """Of the first GPU's memory, now."""
    cudart = bindings()
    check(cudart.cudaSetDevice(first_gpu().index))
    free, _ = check(cudart.cudaMemGetInfo())
    return int(free)


def bindings() -> ModuleType:
    """cuda.bindings.runtime, which imports without a driver.  Raises MissingPackage."""
    try:
        from cuda.bindings import runtime as cudart
    except ImportError as reason:
        raise MissingPackage('this needs cuda-bindings; pip install "aquatint[cuda]"') from reason
    module: ModuleType = cudart
    return module


def check(answer: tuple[Any, ...]) -> Any:
    """What a call of CUDA gave behind its error: nothing, a value, or several.

    Raises OutOfMemory, SessionFailed: with CUDA's name of the error and its words.
    """
    error, *values = answer
    if int(error):
        text = f"CUDA: {error.name}{_words(error)}"
        raise (OutOfMemory if error.name in OUT_OF_MEMORY else SessionFailed)(text)
    return values[0] if len(values) == 1 else tuple(values) if values else None


def _gpu(cudart: ModuleType, index: int) -> Gpu:
    properties = check(cudart.cudaGetDeviceProperties(index))
    name = properties.name.decode(errors="replace").rstrip("\0")
    return Gpu(index, name, f"sm{properties.major}{properties.minor}", int(properties.totalGlobalMem))


def _why(cudart: ModuleType, error: Any) -> str:
    """Why there is no GPU."""
    here = driver_version()
    needed = check(cudart.cudaRuntimeGetVersion())
    if here == "0.0":
        return "no NVIDIA driver is installed here, or this process may not see it (in a container: --gpus all)"
    if error == cudart.cudaError_t.cudaErrorInsufficientDriver:
        return (
            f"the NVIDIA driver runs CUDA {here}, cuda-bindings was made for {needed // 1000}.{needed % 1000 // 10}: "
            f'install a newer driver, or pip install "cuda-bindings<{needed // 1000}"'
        )
    return f"the NVIDIA driver (CUDA {here}) shows no GPU{_words(error)}; is CUDA_VISIBLE_DEVICES empty?"


def _words(error: Any) -> str:
    if not hasattr(bindings(), type(error).__name__):
        return ""  # of the driver's own interface, whose names say what they mean
    found, words = bindings().cudaGetErrorString(error)
    return "" if int(found) or not int(error) else f" ({words.decode(errors='replace')})"
