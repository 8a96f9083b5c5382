"""A GPU that is not there: memory that is watched, and streams of work that wait until they are waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType

import numpy as np

ALIGNMENT = 256  # of cudaMalloc
GUARD, POISON = 0xA5, 0xFF  # bytes around an allocation, and in a new one: NaN in every float
DEVICE, PINNED = "device", "pinned"
NEWEST_DRIVER = 13000

Work = Callable[[], None]


class Violation(AssertionError):
    """What a GPU would answer with garbage or a crash."""


@dataclass(frozen=True)
class Card:
    """One GPU, by its name and compute capability."""

    name: str
    major: int
    minor: int


@dataclass
class Allocation:
    """Some bytes between two guards.  owner: who asked, for messages and for counting."""

    address: int
    size: int
    kind: str
    owner: str
    holder: np.ndarray

    @property
    def bytes(self) -> np.ndarray:
        """What is inside of the guards."""
        start = self.address - self.holder.ctypes.data
        return self.holder[start : start + self.size]

    def check(self) -> None:
        """Raises Violation where something wrote past an end."""
        start = self.address - self.holder.ctypes.data
        if (self.holder[:start] != GUARD).any() or (self.holder[start + self.size :] != GUARD).any():
            raise Violation(f"the guards of {self.size} bytes at {self.address:#x} ({self.owner}) were written over")


@dataclass
class Capture:
    """What a stream was asked for instead of doing it.  broken: something in it can't be recorded."""

    thread: int
    work: list[Work] = field(default_factory=list)
    broken: bool = False


class Machine:
    """What tests set of it: cards, driver (0: none), bindings, total_bytes, others_bytes (of other processes)."""

    def __init__(self) -> None:
        self.cards = [Card("NVIDIA GeForce RTX 4090", 8, 9)]
        self.driver = self.bindings = NEWEST_DRIVER
        self.total_bytes, self.others_bytes = 8 << 30, 0
        self.capturable = True
        self.real: dict[str, ModuleType] = {}  # the modules that it stands in for
        self.last_error: object = None
        self.launches = 0
        self.graphs: dict[int, list[Work]] = {}  # captured
        self.recorded: dict[int, list[Work]] = {}  # and made ready to launch
        self.queues: dict[int, list[Work]] = {}
        self.captures: dict[int, Capture] = {}
        self.contexts: set[int] = set()
        self._live: dict[int, Allocation] = {}
        # Freed ones are kept, so that no address is given twice and using one after all is seen.
        self._freed: dict[int, Allocation] = {}
        self._handles = 0x1000

    @property
    def architecture(self) -> int:
        """89 for compute capability 8.9."""
        return self.cards[0].major * 10 + self.cards[0].minor

    def handle(self) -> int:
        """A number that was not given before."""
        self._handles += 0x10
        return self._handles

    def held_bytes(self, kind: str = DEVICE, owner: str | None = None) -> int:
        """How much is allocated."""
        found = (each for each in self._live.values() if each.kind == kind and owner in (None, each.owner))
        return sum(each.size for each in found)

    @property
    def free_bytes(self) -> int:
        """Of the device."""
        return self.total_bytes - self.others_bytes - self.held_bytes()

    def allocate(self, size: int, kind: str = DEVICE, owner: str = "cuda") -> int | None:
        """The address, or None where so much is not free."""
        if kind == DEVICE and size > self.free_bytes:
            return None
        holder = np.full(size + 4 * ALIGNMENT, GUARD, np.uint8)
        address = -(-(holder.ctypes.data + ALIGNMENT) // ALIGNMENT) * ALIGNMENT
        found = self._live[address] = Allocation(address, size, kind, owner, holder)
        found.bytes[:] = POISON
        return address

    def release(self, address: int, kind: str = DEVICE) -> bool:
        """Whether it was such an allocation."""
        found = self._live.get(address)
        if found is None or found.kind != kind:
            return False
        found.check()
        found.bytes[:] = POISON
        self._freed[address] = self._live.pop(address)
        return True

    def allocation(self, address: int, size: int, kind: str | None = None) -> Allocation | None:
        """The live one that these bytes lie in."""
        for found in self._live.values():
            inside = found.address <= address and address + size <= found.address + found.size
            if inside and kind in (None, found.kind):
                return found
        return None

    def view(self, address: int, size: int, dtype: type | np.dtype = np.uint8) -> np.ndarray:
        """Numbers in live memory, which can be written.  Raises Violation."""
        found = self.allocation(address, size)
        if found is None:
            raise Violation(f"{size} bytes at {address:#x} are {self._instead(address)}")
        start = address - found.address
        return found.bytes[start : start + size].view(dtype)

    def enqueue(self, stream: int, work: Work) -> None:
        """Do it when the stream is waited for, or record it."""
        if stream not in self.queues:
            raise Violation(f"there is no stream {stream:#x}")
        capture = self.captures.get(stream)
        (self.queues[stream] if capture is None else capture.work).append(work)

    def synchronize(self, stream: int) -> None:
        """Do all that was asked of the stream."""
        waiting, self.queues[stream] = self.queues[stream], []
        for work in waiting:
            work()

    def capturing(self) -> Capture | None:
        """The capture that this thread has begun."""
        mine = threading.get_ident()
        return next((capture for capture in self.captures.values() if capture.thread == mine), None)

    def break_capture(self) -> bool:
        """Whether there was one: something was asked for that no graph can hold."""
        capture = self.capturing()
        if capture is not None:
            capture.broken = True
        return capture is not None

    def check(self) -> None:
        """Raises Violation where something wrote past an end, or into what was freed."""
        for live in self._live.values():
            live.check()
        for freed in self._freed.values():
            freed.check()
            if (freed.bytes != POISON).any():
                raise Violation(f"{freed.size} bytes at {freed.address:#x} were written to after they were freed")

    def _instead(self, address: int) -> str:
        freed = any(each.address <= address < each.address + each.size for each in self._freed.values())
        live = any(each.address <= address < each.address + each.size for each in self._live.values())
        return "freed" if freed else "more than what is there" if live else "nobody's"
