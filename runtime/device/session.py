"""A session over a network that works in a device's memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..errors import OutOfMemory, SessionFailed
from ..manifest import Component, TensorSpec
from ..shapes import size_of
from .memory import Array, Memory

KEPT = 8  # sizes whose buffers are kept; an engine may have recorded work on them


@dataclass(frozen=True, eq=False)
class Buffers:
    """Where a network finds its inputs and leaves its outputs, by their names; one object for each set of sizes."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]


class Network(Protocol):
    """An engine with a network loaded.  Raises SessionFailed where the engine refuses."""

    def enqueue(self, buffers: Buffers) -> None:
        """Ask for the outputs of these inputs, behind all that its memory was asked for."""

    def forget(self, buffers: Buffers) -> None:
        """These go away."""

    def close(self) -> None:
        """Give back what the network took of the device."""


class DeviceSession:
    """A Session (runtime/session.py) whose buffers stay in place, so that the loop may work on them too."""

    def __init__(self, network: Network, component: Component, memory: Memory) -> None:
        self.component = component
        self.memory = memory
        self._network = network
        self._kept: dict[tuple[tuple[str, tuple[int, ...]], ...], Buffers] = {}

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Run over zeros: engines choose kernels in the first call, and may record their work in the second."""
        with self.memory.lock:
            buffers = self.buffers(shapes)
            for _ in range(2):
                self.enqueue(buffers)
            self.memory.wait()

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with self.memory.lock:
            buffers = self.buffers({name: array.shape for name, array in feeds.items()})
            for name, array in feeds.items():
                self.memory.write(buffers.inputs[name], array)
            self.enqueue(buffers)
            return {name: self.memory.read(array) for name, array in buffers.outputs.items()}

    def buffers(self, shapes: Mapping[str, tuple[int, ...]]) -> Buffers:
        """The buffers for inputs of these shapes, the same ones each time."""
        key = tuple(sorted(shapes.items()))
        found = self._kept.pop(key, None)
        if found is None:
            while len(self._kept) >= KEPT:
                self._drop(next(iter(self._kept)))
            found = self._make(shapes)
        self._kept[key] = found  # the last used is the last to go
        return found

    def enqueue(self, buffers: Buffers) -> None:
        """Ask for the outputs of what the inputs hold by then."""
        self._network.enqueue(buffers)

    def close(self) -> None:
        with self.memory.lock:
            self.memory.wait()
            for key in list(self._kept):
                self._drop(key)
            self._network.close()

    def _make(self, shapes: Mapping[str, tuple[int, ...]]) -> Buffers:
        words = sizes_of(self.component, shapes)
        inputs: dict[str, Array] = {}
        outputs: dict[str, Array] = {}
        try:
            for spec in self.component.inputs:
                inputs[spec.name] = self.memory.allocate(shapes[spec.name], _dtype(spec))
            for spec in self.component.outputs:
                shape = tuple(size_of(dim, words) for dim in spec.dims)
                outputs[spec.name] = self.memory.allocate(shape, _dtype(spec))
        except OutOfMemory:
            self.memory.wait()
            for array in (*inputs.values(), *outputs.values()):
                self.memory.free(array)
            raise
        return Buffers(inputs, outputs)

    def _drop(self, key: tuple[tuple[str, tuple[int, ...]], ...]) -> None:
        buffers = self._kept.pop(key)
        self.memory.wait()
        self._network.forget(buffers)
        for array in (*buffers.inputs.values(), *buffers.outputs.values()):
            self.memory.free(array)


def sizes_of(component: Component, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """What the dimension words are where the inputs have these shapes.  Raises SessionFailed where they disagree."""
    words: dict[str, int] = {}
    for spec in component.inputs:
        shape = shapes.get(spec.name)
        if shape is None or len(shape) != len(spec.dims):
            raise SessionFailed(f"{component.name}: input {spec.name} is {shape}; it must be {spec.dims}")
        for dim, size in zip(spec.dims, shape, strict=True):
            word, _, divisor = dim.partition("/") if isinstance(dim, str) else ("", "", "")
            agreed = words.setdefault(word, size * int(divisor or 1)) if word else 0
            if size_of(dim, {word: agreed}) != size:
                raise SessionFailed(f"{component.name}: input {spec.name} is {shape}; it must be {spec.dims}")
    return words


def _dtype(spec: TensorSpec) -> np.dtype:
    return np.dtype(spec.dtype)
