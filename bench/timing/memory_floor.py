"""The least memory with which something still runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class MemoryFloor:
    """In bytes: the least limit that it ran with, and the largest that it failed with, None where it never failed."""

    ran: int
    failed: int | None


def memory_floor(run: Callable[[int], bool], low: int, high: int, tolerance: int) -> MemoryFloor:
    """Halve the range between the limits that fail and those that do, until it is no wider than the tolerance.

    run: whether it runs with so many bytes, as by memory_limit.limiting; called about log2((high - low) / tolerance)
    times.  It is taken to run with every limit above one that it ran with.
    Raises ValueError where it does not run with `high`, or the range is none.
    """
    if not 0 < low < high or tolerance < 1:
        raise ValueError(f"the range is {low} to {high} bytes by {tolerance}, expected 0 < low < high, and 1 or more")
    if not run(high):
        raise ValueError(f"it does not run with {high} bytes; give a higher limit, or see whether it runs with none")
    if run(low):
        return MemoryFloor(low, None)
    failed, ran = low, high
    while ran - failed > tolerance:
        middle = (failed + ran) // 2
        if run(middle):
            ran = middle
        else:
            failed = middle
    return MemoryFloor(ran, failed)
