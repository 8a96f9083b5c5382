"""cuda.bindings.runtime and .driver over a Machine: as strict as a sanitizer, with the real ones' enums and handles.

Source: the docstrings of cuda-bindings 13, and CUDA's programming guide on stream capture.
"""

from __future__ import annotations

import ctypes
import functools
import inspect
import re
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from .machine import DEVICE, PINNED, Capture, Machine

COPIES = {
    "cudaMemcpyHostToDevice": (PINNED, DEVICE),
    "cudaMemcpyDeviceToHost": (DEVICE, PINNED),
    "cudaMemcpyDeviceToDevice": (DEVICE, DEVICE),
}
MOST_THREADS = 1024  # in a block


def runtime_module(machine: Machine, real: ModuleType) -> ModuleType:
    """What `from cuda.bindings import runtime` gives; a function that is not here is an AttributeError."""
    return _module(real, Runtime(machine, real))


def driver_module(machine: Machine, real: ModuleType) -> ModuleType:
    """What `from cuda.bindings import driver` gives."""
    return _module(real, Driver(machine, real))


def _module(real: ModuleType, functions: object) -> ModuleType:
    module = ModuleType(real.__name__)
    for name, value in vars(real).items():
        if not name.startswith("_") and (isinstance(value, type) or not callable(value)):
            setattr(module, name, value)
    for name, function in inspect.getmembers(functions, inspect.ismethod):
        if not name.startswith("_"):
            assert hasattr(real, name)
            setattr(module, name, function)
    return module


def _of_gpu(values: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A function that needs a GPU and gives `values` things behind its error; a method gives an error's name alone."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(self: Runtime, *given: Any) -> tuple[Any, ...]:
            refused = self._refusal()
            found = refused if refused is not None else function(self, *given)
            if isinstance(found, str):
                return (self._error(found), *[None] * values)
            self._machine.contexts.add(threading.get_ident())
            return (self._error("cudaSuccess"), *(() if found is None else found))

        return call

    return wrap


class Runtime:
    """The runtime's functions."""

    def __init__(self, machine: Machine, real: ModuleType) -> None:
        self._machine, self._real = machine, real

    def cudaDriverGetVersion(self) -> tuple[Any, ...]:
        return self._error("cudaSuccess"), self._machine.driver

    def cudaRuntimeGetVersion(self) -> tuple[Any, ...]:
        return self._error("cudaSuccess"), self._machine.bindings

    def cudaGetErrorString(self, error: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = self._real.cudaGetErrorString(error)
        return found

    def cudaGetLastError(self) -> tuple[Any, ...]:
        last, self._machine.last_error = self._machine.last_error, None
        return (last or self._real.cudaError_t.cudaSuccess,)

    @_of_gpu(1)
    def cudaGetDeviceCount(self) -> Any:
        return (len(self._machine.cards),)

    @_of_gpu(1)
    def cudaGetDeviceProperties(self, device: int) -> Any:
        if not 0 <= device < len(self._machine.cards):
            return "cudaErrorInvalidDevice"
        card, found = self._machine.cards[device], self._real.cudaDeviceProp()
        found.name = card.name.encode().ljust(256, b"\0")
        found.major, found.minor = card.major, card.minor
        found.totalGlobalMem = self._machine.total_bytes
        return (found,)

    @_of_gpu(0)
    def cudaSetDevice(self, device: int) -> Any:
        return None if 0 <= device < len(self._machine.cards) else "cudaErrorInvalidDevice"

    @_of_gpu(2)
    def cudaMemGetInfo(self) -> Any:
        return self._machine.free_bytes, self._machine.total_bytes

    @_of_gpu(1)
    def cudaMalloc(self, size: int) -> Any:
        if self._machine.break_capture():
            return "cudaErrorStreamCaptureUnsupported"
        address = self._machine.allocate(size)
        return "cudaErrorMemoryAllocation" if address is None else (address,)

    @_of_gpu(0)
    def cudaFree(self, devPtr: int) -> Any:
        if self._machine.break_capture():
            return "cudaErrorStreamCaptureUnsupported"
        return None if not devPtr or self._machine.release(devPtr) else "cudaErrorInvalidValue"

    @_of_gpu(1)
    def cudaMallocHost(self, size: int) -> Any:
        if self._machine.break_capture():
            return "cudaErrorStreamCaptureUnsupported"
        return (self._machine.allocate(size, PINNED),)

    @_of_gpu(0)
    def cudaFreeHost(self, ptr: int) -> Any:
        if self._machine.break_capture():
            return "cudaErrorStreamCaptureUnsupported"
        return None if self._machine.release(ptr, PINNED) else "cudaErrorInvalidValue"

    @_of_gpu(0)
    def cudaMemsetAsync(self, devPtr: int, value: int, count: int, stream: Any) -> Any:
        if self._machine.allocation(devPtr, count, DEVICE) is None:
            return "cudaErrorInvalidValue"
        self._machine.enqueue(int(stream), lambda: self._machine.view(devPtr, count).fill(value))
        return None

    @_of_gpu(0)
    def cudaMemcpyAsync(self, dst: int, src: int, count: int, kind: Any, stream: Any) -> Any:
        from_, to = COPIES[kind.name]
        machine = self._machine
        source, target = machine.allocation(src, count, from_), machine.allocation(dst, count, to)
        if source is None or target is None or abs(dst - src) < count:
            # Host memory that is not pinned can be copied, but not as a part of a graph, and not behind one's back.
            unpinned = machine.break_capture() and None in (source, target)
            return "cudaErrorStreamCaptureUnsupported" if unpinned else "cudaErrorInvalidValue"

        def copy() -> None:
            machine.view(dst, count)[:] = machine.view(src, count)

        machine.enqueue(int(stream), copy)
        return None

    @_of_gpu(1)
    def cudaStreamCreateWithFlags(self, flags: int) -> Any:
        stream = self._real.cudaStream_t(self._machine.handle())
        self._machine.queues[int(stream)] = []
        return (stream,)

    @_of_gpu(0)
    def cudaStreamSynchronize(self, stream: Any) -> Any:
        if int(stream) in self._machine.captures:
            self._machine.captures[int(stream)].broken = True
            return "cudaErrorStreamCaptureUnsupported"
        if int(stream) not in self._machine.queues:
            return "cudaErrorInvalidResourceHandle"
        self._machine.synchronize(int(stream))
        return None

    @_of_gpu(0)
    def cudaStreamBeginCapture(self, stream: Any, mode: Any) -> Any:
        assert isinstance(mode, self._real.cudaStreamCaptureMode)
        if int(stream) in self._machine.captures:
            return "cudaErrorIllegalState"
        self._machine.captures[int(stream)] = Capture(threading.get_ident())
        return None

    @_of_gpu(1)
    def cudaStreamEndCapture(self, stream: Any) -> Any:
        capture = self._machine.captures.get(int(stream))
        if capture is None:
            return "cudaErrorIllegalState"
        if capture.thread != threading.get_ident():
            return "cudaErrorStreamCaptureWrongThread"
        del self._machine.captures[int(stream)]
        if capture.broken or not self._machine.capturable:
            return "cudaErrorStreamCaptureInvalidated"
        graph = self._real.cudaGraph_t(self._machine.handle())
        self._machine.graphs[int(graph)] = capture.work
        return (graph,)

    @_of_gpu(1)
    def cudaGraphInstantiate(self, graph: Any, flags: int) -> Any:
        if int(graph) not in self._machine.graphs:
            return "cudaErrorInvalidValue"
        made = self._real.cudaGraphExec_t(self._machine.handle())
        self._machine.recorded[int(made)] = list(self._machine.graphs[int(graph)])
        return (made,)

    @_of_gpu(0)
    def cudaGraphDestroy(self, graph: Any) -> Any:
        return None if self._machine.graphs.pop(int(graph), None) is not None else "cudaErrorInvalidValue"

    @_of_gpu(0)
    def cudaGraphLaunch(self, graphExec: Any, stream: Any) -> Any:
        if int(graphExec) not in self._machine.recorded:
            return "cudaErrorInvalidValue"
        self._machine.launches += 1
        for work in self._machine.recorded[int(graphExec)]:
            self._machine.enqueue(int(stream), work)
        return None

    @_of_gpu(0)
    def cudaGraphExecDestroy(self, graphExec: Any) -> Any:
        return None if self._machine.recorded.pop(int(graphExec), None) is not None else "cudaErrorInvalidValue"

    def _refusal(self) -> str | None:
        if self._machine.driver // 1000 < self._machine.bindings // 1000:  # no driver is version 0
            return "cudaErrorInsufficientDriver"
        return None if self._machine.cards else "cudaErrorNoDevice"

    def _error(self, name: str) -> Any:
        error = getattr(self._real.cudaError_t, name)
        if int(error):
            self._machine.last_error = error
        return error


class Driver:
    """The driver's functions: a module of PTX, which must be combine.ptx, and its kernel."""

    def __init__(self, machine: Machine, real: ModuleType) -> None:
        self._machine, self._real = machine, real
        self._modules: dict[int, list[int]] = {}
        self._functions: dict[int, list[int]] = {}

    def cuModuleLoadData(self, image: bytes) -> tuple[Any, ...]:
        if self._machine.break_capture():
            return self._real.CUresult.CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, None
        if threading.get_ident() not in self._machine.contexts:
            return self._real.CUresult.CUDA_ERROR_INVALID_CONTEXT, None
        assert image.endswith(b"\0"), "the driver reads text until a zero"
        text = image[:-1].decode("ascii")
        target, entry = (
            re.search(r"^\.target sm_(\d+)$", text, re.M),
            re.search(r"\.entry combine\((.*?)\n\)", text, re.S),
        )
        if target is None or entry is None:
            return self._real.CUresult.CUDA_ERROR_INVALID_PTX, None
        if int(target[1]) > self._machine.architecture:
            return self._real.CUresult.CUDA_ERROR_NO_BINARY_FOR_GPU, None
        module = self._real.CUmodule(self._machine.handle())
        self._modules[int(module)] = [int(bits) // 8 for bits in re.findall(r"\.param \.u(\d+)", entry[1])]
        return self._real.CUresult.CUDA_SUCCESS, module

    def cuModuleGetFunction(self, hmod: Any, name: bytes) -> tuple[Any, ...]:
        if name != b"combine":
            return self._real.CUresult.CUDA_ERROR_NOT_FOUND, None
        function = self._real.CUfunction(self._machine.handle())
        self._functions[int(function)] = self._modules[int(hmod)]
        return self._real.CUresult.CUDA_SUCCESS, function

    def cuLaunchKernel(
        self, f: Any, gridDimX: int, gridDimY: int, gridDimZ: int, blockDimX: int, blockDimY: int, blockDimZ: int,
        sharedMemBytes: int, hStream: Any, kernelParams: Any, extra: Any,
    ) -> tuple[Any, ...]:  # fmt: skip
        values, kinds = kernelParams
        sizes = [ctypes.sizeof(kind) for kind in kinds]
        assert isinstance(values, tuple)
        assert isinstance(kinds, tuple)
        assert sizes == self._functions[int(f)], "the kernel takes parameters of other sizes"
        assert not extra
        weights, terms, to, count, elements = (kind(value).value for kind, value in zip(kinds, values, strict=True))
        assert (gridDimY, gridDimZ, blockDimY, blockDimZ, sharedMemBytes) == (1, 1, 1, 1, 0)
        assert 0 < gridDimX < 2**31
        assert 0 < blockDimX <= MOST_THREADS
        covered = min(gridDimX * blockDimX, elements)

        def run() -> None:
            self._combine(weights, terms, to, count, elements, covered)

        self._machine.enqueue(int(hStream), run)
        return (self._real.CUresult.CUDA_SUCCESS,)

    def _combine(self, weights: int, terms: int, to: int, count: int, elements: int, covered: int) -> None:
        view = self._machine.view
        factors = view(weights, 4 * count, np.float32)
        summands = view(terms, 4 * count * elements, np.float32).reshape(count, elements)
        result = view(to, 4 * elements, np.float32)
        assert not np.shares_memory(result, summands), "the kernel reads what it writes over"
        assert not np.shares_memory(result, factors), "the kernel reads what it writes over"
        total = np.zeros(elements, np.float32)
        for factor, summand in zip(factors, summands, strict=True):
            if factor != 0:  # as the kernel skips them: what is there may be NaN
                # Products of float32 are exact in float64: one rounding, as of a fused multiply-add.
                total = (np.float64(factor) * summand + total).astype(np.float32)
        result[:covered] = total[:covered]
