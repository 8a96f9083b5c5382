"""Every sample of every subject: of a step, and of a picture."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..drawing import GRAY, INK, new_figure, styled
from .measured import Run, Series
from .plot_words import beside, color_of, name_rows, names_of, plain_log, rows_px, seconds, seconds_unit, spans, three
from .result import stages
from .statistics import paired_ratios

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_MARKS = 120  # of a subject: more can't be told apart, and would make a page heavy
GOLDEN = 0.6180339887  # whose multiples never fall into rows


@styled
def draw_times(run: Run) -> Figure | None:
    """At the first point.  Beside each row its median, and its ratio to the first subject; None without samples."""
    all_series = run.points[0].series if run.points else ()
    if not any(series.samples for series in all_series):
        return None
    names = names_of(run)
    figure = new_figure(rows_px(names) + 20, "Time of a step and of a picture, every sample, and medians")
    left, right = figure.subplots(1, 2, sharey=True)
    images = run.points[0].call.images
    for axes, stage, title in (
        (left, "step", "One step"),
        (right, "picture", f"{images} pictures" if images > 1 else "One picture"),
    ):
        _draw(axes, [stages(series).get(stage, []) for series in all_series], _ratios(all_series, stage))
        axes.set_title(title)
    name_rows(left, names)
    if len(names) > 1:
        words = "Beside each row its median, and how many times as long as the first subject it takes."
        figure.supxlabel(words, x=0.01, ha="left", fontsize=9, color=GRAY)
    right.spines["left"].set_visible(False)
    right.tick_params(labelleft=False)
    right.grid(visible=False, axis="y")
    return figure


def _draw(axes: Axes, found: Sequence[Sequence[float]], ratios: Sequence[float | None]) -> None:
    unit, scale = seconds_unit([max(samples) for samples in found if samples])
    medians = [statistics.median(samples) for samples in found if samples]
    for row, (samples, ratio) in enumerate(zip(found, ratios, strict=True)):
        if not samples:
            beside(axes, row, "-")
            continue
        shown = scale * _few(samples)
        heights = row + 0.5 * ((GOLDEN * np.arange(len(shown))) % 1 - 0.5)
        axes.plot(
            shown, heights, "o", color=color_of(row), markersize=4, alpha=0.45, markeredgewidth=0, zorder=3,
            gid=f"samples {row}",
        )  # fmt: skip
        median = statistics.median(samples)
        axes.plot(
            [scale * median] * 2, [row - 0.36, row + 0.36], color=INK, linewidth=1.6, zorder=2, gid=f"median {row}"
        )
        beside(axes, row, seconds(median) + ("" if ratio is None else f"\n{three(ratio)}\u00d7"))
    if spans(medians):
        plain_log(axes, "x", medians)
    elif medians:
        axes.set_xlim(0, 1.04 * scale * max(max(samples) for samples in found if samples))
    axes.set_xlabel(unit)


def _few(samples: Sequence[float]) -> np.ndarray:
    """Those that show how all are spread, the least and the largest among them."""
    ordered = np.sort(np.asarray(samples, np.float64))
    if len(ordered) <= MOST_MARKS:
        return ordered
    return ordered[np.linspace(0, len(ordered) - 1, MOST_MARKS).round().astype(int)]


def _ratios(all_series: Sequence[Series], stage: str) -> list[float | None]:
    """Of neighbouring pictures; None for the first itself, and where either has none."""
    times = [_of_pictures(series, stage) for series in all_series]
    first = times[0]
    found: list[float | None] = [None]
    for mine in times[1:]:
        count = min(len(first), len(mine))
        found.append(paired_ratios(first[:count], mine[:count]).median if count else None)
    return found


def _of_pictures(series: Series, stage: str) -> list[float]:
    """One time for each picture; of its steps their median."""
    if stage == "picture":
        return [sample.total for sample in series.samples]
    return [statistics.median(sample.steps) for sample in series.samples if sample.steps]
