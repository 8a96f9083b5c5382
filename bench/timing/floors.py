"""The least memory that a subject prints with, found by trying."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import replace

from .call import LEAST_STEPS, Call
from .memory_floor import MemoryFloor, memory_floor
from .memory_limit import Kind, Limit
from .order import Order
from .rounds import Doing
from .subject import Refused, Subject, WorkerFailed

MB = 1 << 20
TOLERANCE = 0.02  # of the memory that it takes where it has all
SLOWER = 10.0  # times the time without a limit: one that has to read its weights again and again counts as failed


def find_floor(
    order: Order, call: Call, kind: Kind, peak_bytes: int, usual_s: float
) -> Generator[Doing, None, MemoryFloor]:
    """Print with less and less memory, each time in a process of its own.

    peak_bytes: what it took without a limit.  usual_s: how long it took then, from the start of the process.
    Raises ValueError where it does not print with four times as much either, as for kinds that count what is set aside.
    """
    brief = replace(call, steps=min(call.steps, LEAST_STEPS))

    def prints(size_bytes: int) -> bool:
        with Subject(order, brief, Limit(size_bytes, kind)) as subject:
            patience = threading.Timer(SLOWER * usual_s + 10, subject.kill)
            patience.start()
            try:
                subject.open()
                subject.take(brief)
            except (WorkerFailed, Refused):
                return False
            finally:
                patience.cancel()
        return True

    yield Doing(f"{order.name}: looking for the least memory")
    most = 4 * peak_bytes
    return memory_floor(prints, 16 * MB, most, max(MB, round(TOLERANCE * peak_bytes)))
