"""What our targets must reach beside torch.compile, and whether they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aquatint.tests.gpu.summary import DEFAULTS, Figure

HELD_AGAINST = "diffusers compile"


@dataclass(frozen=True)
class Limit:
    """The most that a figure may be, as a share of the baseline's.  field: of Figure."""

    what: str
    field: str
    most: float


LIMITS = (
    Limit("time of a step", "step_ms", 1.0),
    Limit("GPU memory", "vram_bytes", 0.7),
    Limit("process start to first picture", "cold_s", 0.25),
)


@dataclass(frozen=True)
class Bar:
    """ours, theirs, ratio: None where one of them was not measured, or not in the same way."""

    model: str
    name: str
    what: str
    most: float
    ours: float | None
    theirs: float | None

    @property
    def ratio(self) -> float | None:
        """Ours over theirs."""
        return None if self.ours is None or not self.theirs else self.ours / self.theirs

    @property
    def verdict(self) -> str:
        """In a word."""
        return "not measured" if self.ratio is None else "met" if self.ratio <= self.most else "missed"


def bars(found: Sequence[Figure]) -> list[Bar]:
    """Every limit, for every target with its default options."""
    made = []
    for ours in found:
        if not ours.ours or ours.variant != DEFAULTS:
            continue
        theirs = next((one for one in found if (one.model, one.name) == (ours.model, HELD_AGAINST)), None)
        for limit in LIMITS:
            values = _values(ours, theirs, limit.field)
            made.append(Bar(ours.model, ours.name, limit.what, limit.most, *values))
    return made


def _values(ours: Figure, theirs: Figure | None, field: str) -> tuple[float | None, float | None]:
    if theirs is None:
        return getattr(ours, field), None
    if field == "vram_bytes" and ours.counted != theirs.counted:
        return ours.growth_bytes, theirs.growth_bytes  # the one way in which both were counted
    return getattr(ours, field), getattr(theirs, field)
