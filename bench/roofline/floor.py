"""The least time that work can take at a machine's peaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .peaks import Peaks
from .work import Work


@dataclass(frozen=True)
class Floor:
    """limit: what holds it there."""

    seconds: float
    limit: Literal["arithmetic", "memory"]


def floor(work: Work, peaks: Peaks) -> Floor:
    """The longer of computing all products at the peaks of their types or wider ones, and of reading all once.

    Source: Williams, Waterman and Patterson 2009, "Roofline: an insightful visual performance model".
    """
    arithmetic = sum(part.operations / peaks.best(part.type).operations_s for part in work.products)
    memory = (work.weights_bytes + work.in_bytes) / peaks.read_bytes_s
    return Floor(max(arithmetic, memory), "arithmetic" if arithmetic >= memory else "memory")
