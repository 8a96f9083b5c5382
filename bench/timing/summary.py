"""A measurement as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .difference import Judgement
from .machine import one_line
from .result import Result, stages
from .statistics import Ratio, paired_ratios, summarize
from .subject import Measured

Rows = list[tuple[str, ...]]


def overview(result: Result) -> tuple[Rows, tuple[str, ...]]:
    """One line for each bundle, and its head.  Pictures and steps are medians; ratios are to the first bundle, of
    neighbouring pictures, with their 95 % interval.
    """
    first = result.run.subjects[0]
    rows: Rows = []
    for measured in result.run.subjects:
        picture, step = (summarize(stages(measured)[name]) for name in ("picture", "step"))
        rows.append((
            Path(measured.bundle).name, measured.target, measured.profile, _seconds(measured.load_s),
            _seconds(measured.first_picture_s), _seconds(step.p50), _seconds(step.p90), _seconds(picture.p50),
            f"{60 / picture.p50:.1f}", "" if measured is first else _ratio(_over(measured, first)),
            _size(measured.memory.peak), _size(measured.memory.steady),
        ))  # fmt: skip
    head = (
        "bundle", "target", "profile", "load", "first picture", "step", "step p90", "picture", "per minute", "ratio",
        "peak", "steady",
    )  # fmt: skip
    return rows, head


def breakdown(measured: Measured) -> tuple[Rows, tuple[str, ...]]:
    """One line for each stage of a bundle, and their head."""
    rows: Rows = []
    for name, samples in stages(measured).items():
        found = summarize(samples)
        spread = "" if found.spread is None else f"{100 * found.spread:.1f} %"
        quantiles = (_seconds(value) for value in (found.p50, found.p90, found.p99))
        rows.append((name, *quantiles, _seconds(found.min), _seconds(found.max), spread, str(found.count)))
    return rows, ("stage", "p50", "p90", "p99", "least", "most", "spread", "samples")


def foot(result: Result) -> list[str]:
    """What it was measured on, and what may have spoilt it."""
    lines = [one_line(result.machine)]
    lines += [warning] if (warning := result.run.load.warning()) else []
    lines += ["It was stopped before the times were settled."] if result.run.stopped else []
    return lines


def differences(judgement: Judgement) -> tuple[Rows, tuple[str, ...]]:
    """One line for each stage of two runs, and their head."""
    rows: Rows = []
    for verdict in judgement.verdicts:
        sure = verdict.too_few or ("slower" if verdict.slower else "")
        bounds = (
            "" if verdict.low is None or verdict.high is None else f"{_share(verdict.low)} to {_share(verdict.high)}"
        )
        rows.append((
            verdict.stage, _seconds(verdict.old_s), _seconds(verdict.new_s), _share(verdict.change), bounds,
            f"{verdict.p_slower:.2g}", sure,
        ))  # fmt: skip
    return rows, ("stage", "old", "new", "change", "99 % bounds", "p", "")


def _over(measured: Measured, first: Measured) -> Ratio:
    return paired_ratios(_totals(first), _totals(measured))


def _totals(measured: Measured) -> Sequence[float]:
    return [sample.total for sample in measured.samples]


def _ratio(ratio: Ratio) -> str:
    bounds = "" if ratio.low is None or ratio.high is None else f" ({ratio.low:.3f} to {ratio.high:.3f})"
    return f"{ratio.median:.3f}{bounds}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{1e3 * value:.3g} ms" if value < 1 else f"{value:.3g} s"


def _size(size_bytes: int | None) -> str:
    return "-" if size_bytes is None else f"{size_bytes / 1e6:.0f} MB"


def _share(value: float) -> str:
    return f"{100 * value:+.1f} %"
