"""How long a measurement goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .statistics import paired_ratios, settled


@dataclass(frozen=True)
class Patience:
    """Until each subject's median, and its ratio to the first, is known to within `spread`, a share of it.

    least, most: rounds, each of one call a subject.  limit_s: seconds of rounds, after which it ends from `least` on.
    minutes: go on so long in any case, whatever is known by then.
    """

    spread: float = 0.02
    least: int = 5
    most: int = 30
    limit_s: float = 600.0
    minutes: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.spread < 1 or not 1 <= self.least <= self.most or not self.limit_s > 0:
            raise ValueError(f"need 0 < spread < 1, 1 <= least <= most and limit_s > 0, got {self}")
        if self.minutes is not None and not self.minutes > 0:
            raise ValueError(f"minutes is {self.minutes}; it must be more than 0")

    def is_over(self, totals: Sequence[Sequence[float]], seconds: float) -> bool:
        """totals: of each subject, as many for each, in seconds.  seconds: since the first of them began."""
        rounds = max((len(samples) for samples in totals), default=0)
        if self.minutes is not None:
            return seconds >= 60 * self.minutes
        if rounds < self.least or not totals:
            return not totals
        return rounds >= self.most or seconds >= self.limit_s or self._knows(totals)

    def _knows(self, totals: Sequence[Sequence[float]]) -> bool:
        if not all(settled(samples, self.spread, self.least, self.most) for samples in totals):
            return False
        ratios = [paired_ratios(totals[0], samples) for samples in totals[1:] if len(samples) == len(totals[0])]
        return all(ratio.low is not None and ratio.high is not None and
                   (ratio.high - ratio.low) / 2 <= self.spread * ratio.median for ratio in ratios)  # fmt: skip
