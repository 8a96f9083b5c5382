"""A GPU's memory and its one stream, as runtime/device/memory.py has them."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import math
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..device.memory import Array, CaptureRefused
from ..errors import OutOfMemory, SessionFailed
from .device import bindings, check, first_gpu

log = logging.getLogger(__name__)

KERNEL = Path(__file__).with_name("combine.ptx")
THREADS = 256  # in a block of the kernel
STAGING = 4 << 20  # bytes of pinned memory to begin with; enough for what a 512 px run moves


@functools.cache
def shared_memory() -> CudaMemory:
    """The first GPU's, one for the whole process: sessions share the stream and the scratch memory."""
    return CudaMemory(first_gpu().index)


class CudaMemory:
    """Source of the calls: NVIDIA's CUDA runtime API, by cuda-bindings."""

    device = "cuda"

    def __init__(self, index: int) -> None:
        cudart = self._cudart = bindings()
        self._index, self._threads = index, threading.local()
        self.lock: contextlib.AbstractContextManager[Any] = threading.RLock()
        self._enter()
        self.stream = check(cudart.cudaStreamCreateWithFlags(cudart.cudaStreamNonBlocking))
        self._staging, self._staged = _Pinned(cudart, STAGING), 0
        self._scratch: Array | None = None
        self._holders: dict[object, int] = {}

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype | type) -> Array:
        dtype = np.dtype(dtype)
        size_bytes = math.prod(shape) * dtype.itemsize
        address = self._malloc(size_bytes)
        check(self._cudart.cudaMemsetAsync(address, 0, size_bytes, self.stream))
        return Array(address, tuple(shape), dtype)

    def free(self, array: Array) -> None:
        check(self._cudart.cudaFree(array.address))

    def write(self, array: Array, values: np.ndarray) -> None:
        values = np.ascontiguousarray(values, array.dtype)
        assert values.nbytes == array.size_bytes
        if self._staged + values.nbytes > self._staging.size_bytes:
            self.wait()
            self._stage(values.nbytes)
        start, self._staged = self._staged, self._staged + values.nbytes
        ctypes.memmove(self._staging.address + start, values.ctypes.data, values.nbytes)
        self._move(array.address, self._staging.address + start, values.nbytes, "cudaMemcpyHostToDevice")

    def read(self, array: Array) -> np.ndarray:
        self.wait()
        self._stage(array.size_bytes)
        self._move(self._staging.address, array.address, array.size_bytes, "cudaMemcpyDeviceToHost")
        self.wait()
        found = np.empty(array.shape, array.dtype)
        ctypes.memmove(found.ctypes.data, self._staging.address, array.size_bytes)
        return found

    def copy(self, source: Array, to: Array) -> None:
        assert source.size_bytes == to.size_bytes
        self._move(to.address, source.address, source.size_bytes, "cudaMemcpyDeviceToDevice")

    def combine(self, weights: Array, terms: Array, to: Array) -> None:
        elements = math.prod(to.shape)
        count = math.prod(weights.shape)
        assert math.prod(terms.shape) == count * elements
        values = (weights.address, terms.address, to.address, count, elements)
        kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64)
        blocks = -(-elements // THREADS)
        self._enter()
        driver, kernel = self._kernel
        check(driver.cuLaunchKernel(kernel, blocks, 1, 1, THREADS, 1, 1, 0, int(self.stream), (values, kinds), 0))

    def record(self, work: Callable[[], None]) -> Recorded:
        cudart = self._cudart
        self.wait()
        check(cudart.cudaStreamBeginCapture(self.stream, cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal))
        refusal: SessionFailed | None = None
        try:
            work()
        except SessionFailed as reason:
            refusal = reason
        finally:  # whatever went wrong, else the stream would go on recording
            error, graph = cudart.cudaStreamEndCapture(self.stream)
        if int(error):
            cudart.cudaGetLastError()  # else libraries that ask for it would take it for their own
            raise CaptureRefused(str(refusal or error.name))
        try:
            if refusal is not None:
                raise CaptureRefused(str(refusal)) from refusal
            return Recorded(cudart, check(cudart.cudaGraphInstantiate(graph, 0)), self.stream)
        except SessionFailed as reason:
            raise CaptureRefused(str(reason)) from reason
        finally:
            check(cudart.cudaGraphDestroy(graph))

    def wait(self) -> None:
        check(self._cudart.cudaStreamSynchronize(self.stream))
        self._staged = 0

    def scratch(self, holder: object, size_bytes: int) -> Array:
        """Memory that every holder may write over in its turn, as large as the largest wish; it moves when it grows."""
        self._holders[holder] = size_bytes
        if self._scratch is None or self._scratch.size_bytes < size_bytes:
            self.wait()
            self._free_scratch()
            self._scratch = Array(self._malloc(size_bytes), (size_bytes,), np.dtype(np.uint8))
        return self._scratch

    def leave_scratch(self, holder: object) -> None:
        """Give it back with its last holder."""
        self._holders.pop(holder, None)
        if not self._holders:
            self.wait()
            self._free_scratch()

    @functools.cached_property
    def _kernel(self) -> tuple[ModuleType, Any]:
        from cuda.bindings import driver

        # Made of text for the device at hand, by the driver.  Zero ends the text.
        module = check(driver.cuModuleLoadData(KERNEL.read_bytes() + b"\0"))
        return driver, check(driver.cuModuleGetFunction(module, b"combine"))

    def _malloc(self, size_bytes: int) -> int:
        try:
            return int(check(self._cudart.cudaMalloc(max(size_bytes, 1))))
        except OutOfMemory as reason:
            self._cudart.cudaGetLastError()
            free, total = check(self._cudart.cudaMemGetInfo())
            raise OutOfMemory(
                f"the GPU has no {size_bytes / 1e6:.0f} MB left: {free / 1e6:.0f} of {total / 1e6:.0f} MB are free"
            ) from reason

    def _enter(self) -> None:
        """Make the GPU this thread's, which the driver's own interface does not do by itself."""
        if not getattr(self._threads, "entered", False):
            check(self._cudart.cudaSetDevice(self._index))
            self._threads.entered = True

    def _stage(self, size_bytes: int) -> None:
        """Have as much staging memory; what is there goes when there is more."""
        if size_bytes > self._staging.size_bytes:
            larger = _Pinned(self._cudart, size_bytes)
            self._staging.free()
            self._staging = larger

    def _free_scratch(self) -> None:
        if self._scratch is not None:
            check(self._cudart.cudaFree(self._scratch.address))
            self._scratch = None

    def _move(self, to: int, source: int, size_bytes: int, kind: str) -> None:
        way = getattr(self._cudart.cudaMemcpyKind, kind)
        check(self._cudart.cudaMemcpyAsync(to, source, size_bytes, way, self.stream))


class Recorded:
    """A CUDA graph."""

    def __init__(self, cudart: ModuleType, graph: Any, stream: Any) -> None:
        self._cudart, self._graph, self._stream = cudart, graph, stream

    def __call__(self) -> None:
        check(self._cudart.cudaGraphLaunch(self._graph, self._stream))

    def close(self) -> None:
        """Give its memory back."""
        check(self._cudart.cudaGraphExecDestroy(self._graph))


class _Pinned:
    """Memory of the host that the GPU reads and writes by itself."""

    def __init__(self, cudart: ModuleType, size_bytes: int) -> None:
        self._cudart, self.size_bytes = cudart, size_bytes
        self.address = int(check(cudart.cudaMallocHost(size_bytes)))

    def free(self) -> None:
        check(self._cudart.cudaFreeHost(self.address))
