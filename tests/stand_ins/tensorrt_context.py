"""The stand-in's execution context: shapes, addresses, and runs that wait on a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .machine import ALIGNMENT
from .tensorrt_native import Native

if TYPE_CHECKING:
    from .tensorrt_run import Dims, ICudaEngine

SCRIBBLE = 0xCD


class IExecutionContext(Native):
    """One way of running an engine."""

    def __init__(self, engine: ICudaEngine) -> None:
        self._engine, self._logger = engine, engine._logger
        self._profile = 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._forget_shapes()
        self._addresses: dict[str, int] = {}
        self._scratch: tuple[int, int] | None = None
        self._settled = False

    @property
    def engine(self) -> ICudaEngine:
        return self._engine

    @property
    def active_optimization_profile(self) -> int:
        return self._profile

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        if not 0 <= profile_index < self._engine.num_optimization_profiles:
            raise RuntimeError("Error in set optimization profile async.")
        self._here.machine.enqueue(stream_handle, lambda: None)
        self._profile = profile_index
        self._forget_shapes()
        return True

    def set_input_shape(self, name: str, shape: Any) -> bool:
        shape = tuple(int(size) for size in shape)
        _, dims, inner = self._engine._tensors.get(name, ("", [], False))
        if not inner:
            self._error(f"IExecutionContext::setInputShape: there is no input {name}")
            return False
        fits = len(shape) == len(dims) and all(dim in (-1, size) for dim, size in zip(dims, shape, strict=True))
        if fits and -1 in dims:
            least, _, most = self._engine._header.profiles[self._profile][name]
            fits = all(low <= size <= high for low, size, high in zip(least, shape, most, strict=True))
        if not fits:
            self._error(f"setInputShape: {shape} of {name} satisfies no dimensions of profile {self._profile}")
            return False
        self._shapes[name] = shape
        self._settled = False
        return True

    def get_tensor_shape(self, name: str) -> Dims:
        _, dims, inner = self._engine._tensors[name]
        if inner:
            return self._module.Dims(self._shapes.get(name, dims))
        known = len(self._shapes) == sum(inner for _, _, inner in self._engine._tensors.values())
        return self._module.Dims(self._engine._output_shapes(self._shapes)[name] if known else dims)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        if name not in self._engine._tensors:
            self._error(f"IExecutionContext::setTensorAddress: there is no tensor {name}")
            return False
        self._here.machine.view(memory, 1)
        assert memory % ALIGNMENT == 0, "the pointer must have at least 256-byte alignment"
        self._addresses[name] = memory
        return True

    def get_tensor_address(self, name: str) -> int:
        return self._addresses.get(name, 0)

    def set_device_memory(self, memory: int, size: int) -> None:
        needed = self._engine.device_memory_size_v2
        if size < needed:
            self._error(f"setDeviceMemoryV2: {size} bytes are fewer than {needed}")
            return
        self._here.machine.view(memory, size)
        assert memory % ALIGNMENT == 0, "device memory must be aligned"
        self._scratch = memory, size

    def execute_async_v3(self, stream_handle: int) -> bool:
        machine, engine = self._here.machine, self._engine
        problem = self._unready()
        if not problem and machine.capturing() is not None:
            problem = self._uncapturable()
            if problem:
                machine.break_capture()
        if not problem and machine.last_error is not None:
            problem = f"an earlier call left {machine.last_error}"
        if problem:
            self._error(f"IExecutionContext::enqueueV3: {problem}")
            return False
        self._settled = True
        shapes = {**self._shapes, **engine._output_shapes(self._shapes)}
        addresses, scratch = dict(self._addresses), self._scratch
        assert scratch is not None

        def view(name: str) -> np.ndarray:
            dtype = engine._dtype(name)
            size = int(np.prod(shapes[name])) * dtype.itemsize
            return machine.view(addresses[name], size, dtype).reshape(shapes[name])

        def run() -> None:
            machine.view(*scratch)[:] = SCRIBBLE
            found = engine._run({name: view(name).copy() for name in self._shapes})
            for name, values in found.items():
                view(name)[...] = values
            machine.view(*scratch)[:] = SCRIBBLE

        for name in addresses:
            view(name)  # too few bytes are found now, not when they are written
        machine.enqueue(stream_handle, run)
        return True

    def _unready(self) -> str:
        missing = [name for name, (_, _, inner) in self._engine._tensors.items() if inner and name not in self._shapes]
        if missing:
            return f"shapes of {missing} are not set"
        unplaced = [name for name in self._engine._tensors if name not in self._addresses]
        if unplaced:
            return f"addresses of {unplaced} are not set"
        return "" if self._scratch is not None else "the context has no device memory"

    def _uncapturable(self) -> str:
        if self._engine._streams:
            return "weights are streamed: the execution is synchronous and not capturable"
        if not self._here.capturable:
            return "operation not permitted when stream is capturing"
        if self._here.lazy and not self._settled:
            return "operation not permitted when stream is capturing: kernels are loaded in the first execution"
        return ""

    def _forget_shapes(self) -> None:
        """Inputs of static shapes have them from the beginning."""
        inputs = self._engine._tensors.items()
        self._shapes = {name: tuple(dims) for name, (_, dims, inner) in inputs if inner and -1 not in dims}
        self._settled = False
