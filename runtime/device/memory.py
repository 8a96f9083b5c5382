"""A device's memory, and its one queue of work."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Array:
    """Numbers in a device's memory: contiguous, in C order.  address: of the first, in bytes."""

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size_bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def rows(self, start: int, stop: int) -> Array:
        """Part of it, along the first axis, in the same place."""
        row_bytes = self.size_bytes // self.shape[0]
        return Array(self.address + start * row_bytes, (stop - start, *self.shape[1:]), self.dtype)

    def shaped(self, *shape: int) -> Array:
        """The same numbers in another shape."""
        return Array(self.address, shape, self.dtype)


class Memory(Protocol):
    """What is asked of it is done in the order of asking; only `read` and `wait` wait until it is done.

    device: as the engines name it ("cuda").  lock: held from writing inputs to reading outputs, by whoever works here.
    """

    device: str
    lock: contextlib.AbstractContextManager[Any]

    def allocate(self, shape: tuple[int, ...], dtype: np.dtype | type) -> Array:
        """A new array of zeros.  Raises OutOfMemory."""

    def free(self, array: Array) -> None:
        """Give back what `allocate` gave, once all work is done."""

    def write(self, array: Array, values: np.ndarray) -> None:
        """Put values there, converted to the array's type; the caller may change them at once."""

    def read(self, array: Array) -> np.ndarray:
        """Wait, then give a copy."""

    def copy(self, source: Array, to: Array) -> None:
        """Within the device; both of one size."""

    def combine(self, weights: Array, terms: Array, to: Array) -> None:
        """to = weights @ terms: (n,), (n, elements) and (elements,) of float32, of any shape; no two overlap."""

    def record(self, work: Callable[[], None]) -> Recorded:
        """The work, which was done once before, as one launch that does it again, at the same addresses.

        Raises CaptureRefused where it can't be.
        """

    def wait(self) -> None:
        """Until all that was asked is done."""


class Recorded(Protocol):
    """Work that is done by calling it."""

    def __call__(self) -> None: ...

    def close(self) -> None:
        """Give its memory back."""


class CaptureRefused(Exception):
    """A device that will not record this work; it can still be done as it is."""
