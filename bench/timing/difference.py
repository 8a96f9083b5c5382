"""Whether a new run is slower than an old one by more than is allowed, stage by stage.

Samples count as independent, and both runs should have as many.  What makes a whole run slower, such as heat or another
clock, looks like slower code to every test of two runs: allow more than two runs of the same code differ by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .ranks import least_p, p_differs, p_larger, shift_bounds
from .statistics import as_times

# Of a false alarm: in any of the stages of one comparison, none of which is slower by more than is allowed.
LEVEL = 0.01


@dataclass(frozen=True)
class Verdict:
    """What became of one stage.

    old_s, new_s: medians.  change: of the median, 0.1 for a tenth slower.  over: the change that is allowed.
    low, high: the change of a typical sample is larger than low, and smaller than high, with 99 % confidence each;
    None where samples are too few.  They come from the test that decides, so where both runs spread differently
    `change` may lie outside them.
    p_changed: two-sided, of no change at all, for this stage alone.
    p_slower: one-sided, of a change of at most `over`, after Holm's correction for all the stages.
    too_few: why there is no verdict: not even new samples all far above the old would reach LEVEL; else None.
    """

    stage: str
    old_count: int
    new_count: int
    old_s: float
    new_s: float
    change: float
    low: float | None
    high: float | None
    over: float
    p_changed: float
    p_slower: float
    too_few: str | None

    @property
    def slower(self) -> bool:
        """Sure to be slower by more than `over`.  The median must say so too, not only the larger half of samples."""
        return self.too_few is None and self.p_slower < LEVEL and self.change > self.over


@dataclass(frozen=True)
class Judgement:
    """Of all stages; verdicts: the slower ones first, then by change, the largest first."""

    verdicts: tuple[Verdict, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]

    @property
    def slower(self) -> tuple[str, ...]:
        """The stages to fail for."""
        return tuple(verdict.stage for verdict in self.verdicts if verdict.slower)

    @property
    def undecided(self) -> tuple[str, ...]:
        """The stages with too few samples, about which nothing is known."""
        return tuple(verdict.stage for verdict in self.verdicts if verdict.too_few)


def judge(old: Mapping[str, Sequence[float]], new: Mapping[str, Sequence[float]], over: float) -> Judgement:
    """Compare samples in seconds of each stage that both have.

    A stage is slower where a rank-sum test rejects that new times are at most (1 + over) old ones, in distribution.
    over: 0.05 for 5 %.  Raises ValueError for a negative one, and for samples that are no times.
    """
    if not 0 <= over < float("inf"):
        raise ValueError(f"over {over}: want a share of at least 0, such as 0.05")
    both = [stage for stage in old if stage in new]
    times = {stage: (_times(stage, old[stage]), _times(stage, new[stage])) for stage in both}
    short = {stage: _too_few(a.size, b.size, len(both)) for stage, (a, b) in times.items()}
    # Counts alone say which stages can be decided, so leaving the others out of the correction keeps its level.
    chances = {stage: _p_slower(*times[stage], over) for stage in both}
    corrected = _holm({stage: p for stage, p in chances.items() if short[stage] is None})
    verdicts = [
        _verdict(stage, *times[stage], over, corrected.get(stage, chances[stage]), short[stage]) for stage in both
    ]
    return Judgement(
        tuple(sorted(verdicts, key=lambda verdict: (not verdict.slower, -verdict.change))),
        tuple(stage for stage in old if stage not in new),
        tuple(stage for stage in new if stage not in old),
    )


def samples_needed(stages: int) -> int:
    """How many samples each run needs of each of so many stages, for a verdict to be possible at all."""
    count = 1
    while stages * least_p(count, count) >= LEVEL:
        count += 1
    return count


def _verdict(
    stage: str, old: np.ndarray, new: np.ndarray, over: float, p_slower: float, too_few: str | None
) -> Verdict:
    old_s, new_s = float(np.median(old)), float(np.median(new))
    bounds = shift_bounds(_logs(old), _logs(new), LEVEL)
    low, high = (None, None) if bounds is None else (float(np.expm1(bound)) for bound in bounds)
    p_changed = p_differs(_logs(old), _logs(new))
    change = new_s / old_s - 1
    return Verdict(stage, old.size, new.size, old_s, new_s, change, low, high, over, p_changed, p_slower, too_few)


def _p_slower(old: np.ndarray, new: np.ndarray, over: float) -> float:
    return p_larger(_logs(old * (1 + over)), _logs(new))


def _logs(times: np.ndarray) -> np.ndarray:
    """Logarithms, in which a ratio is a shift; rounded, so that 0.1 * 1.05 and 0.105 tie."""
    return np.round(np.log(times), 12)


def _holm(chances: Mapping[str, float]) -> dict[str, float]:
    """Each p, raised so that a level holds for all of them together.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    raised, least = {}, 0.0
    for done, stage in enumerate(sorted(chances, key=lambda stage: chances[stage])):
        least = max(least, min(1.0, (len(chances) - done) * chances[stage]))
        raised[stage] = least
    return raised


def _too_few(old: int, new: int, stages: int) -> str | None:
    if stages * least_p(old, new) < LEVEL:
        return None
    return f"too few samples: {old} and {new}; want {samples_needed(stages)} of each run or more"


def _times(stage: str, samples: Sequence[float]) -> np.ndarray:
    try:
        return as_times(samples)
    except ValueError as error:
        raise ValueError(f"stage {stage}: {error}") from error
