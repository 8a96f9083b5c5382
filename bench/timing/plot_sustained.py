"""Whether pictures become slower while a run goes on, and whether the processors do."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..drawing import GRAY, INK, new_figure, styled
from .cpu_state import CpuState
from .measured import Moment, Point, Series
from .plot_words import color_of, folded, seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST = 6  # samples of a subject, of which thirds mean something
MOST_MARKS = 150  # along the time: of more, neighbours are put together
PANEL_PX, CLOCK_PX, FRAME_PX, LEGEND_PX = 260, 110, 90, 24


@styled
def draw_sustained(point: Point, names: Sequence[str]) -> Figure | None:
    """Each picture's time against the median of the first third of its subject's, over the minutes of the run.

    Below them the processors' clock and temperature, where they are told.  names: of the subjects.
    None where no subject has LEAST samples.
    """
    shown = [
        index for index, series in enumerate(point.series) if min(len(series.samples), len(series.ends_s)) >= LEAST
    ]
    if not shown:
        return None
    tracks = [track for track in (_clock(point.moments), _heat(point.moments)) if track]
    height = (
        PANEL_PX
        + CLOCK_PX * len(tracks)
        + FRAME_PX
        + LEGEND_PX * sum(1 + folded(names[index], 60).count("\n") for index in shown)
    )
    figure = new_figure(height, "Time of pictures over the minutes of the run")
    plots = figure.subplots(
        1 + len(tracks), 1, sharex=True, squeeze=False, height_ratios=[PANEL_PX, *[CLOCK_PX] * len(tracks)]
    )[:, 0]
    for index in shown:
        _draw(plots[0], index, names[index], point.series[index])
    plots[0].axhline(1.0, color=GRAY, linewidth=0.8, zorder=1)
    plots[0].set_ylabel("against its first third")
    plots[0].yaxis.set_major_formatter(lambda value, _: f"{value:.2f}\u00d7")
    low, high = plots[0].get_ylim()
    plots[0].set_ylim(min(low, 0.95), max(high, 1.05))  # noise of a per cent is not to look like a fault
    plots[0].set_title("Time of each picture while the run went on")
    for axes, (minutes, values, words) in zip(plots[1:], tracks, strict=True):
        axes.plot(minutes, values, color=INK, linewidth=1.2)
        axes.set_ylabel(words)
        axes.margins(y=0.25)
    plots[-1].set_xlabel("minutes")
    plots[-1].set_xlim(0, None)
    figure.legend(*plots[0].get_legend_handles_labels(), loc="outside lower left", ncols=1)
    return figure


def thirds(series: Series) -> tuple[float, float]:
    """Seconds: the medians of the first and of the last third of the pictures."""
    totals = [sample.total for sample in series.samples]
    third = len(totals) // 3
    return statistics.median(totals[:third]), statistics.median(totals[-third:])


def _draw(axes: Axes, index: int, name: str, series: Series) -> None:
    early, late = thirds(series)
    minutes, totals = _thinned([end / 60 for end in series.ends_s], [sample.total for sample in series.samples])
    label = f"{folded(name, 60)}: first third {seconds(early)}, last {seconds(late)} ({late / early:.3f}\u00d7)"
    few = len(minutes) <= MOST_MARKS / 2
    axes.plot(
        minutes, totals / early, color=color_of(index), linewidth=1.4, marker="o" if few else None, markersize=3.5,
        label=label, gid=f"pictures {index}",
    )  # fmt: skip


def _clock(moments: Sequence[Moment]) -> tuple[np.ndarray, np.ndarray, str] | None:
    return _track(moments, lambda state: None if state.current_mhz is None else state.current_mhz / 1e3, "GHz")


def _heat(moments: Sequence[Moment]) -> tuple[np.ndarray, np.ndarray, str] | None:
    return _track(moments, lambda state: state.temperature_c, "°C")


def _track(
    moments: Sequence[Moment], value: Callable[[CpuState], float | None], words: str
) -> tuple[np.ndarray, np.ndarray, str] | None:
    """Minutes and values; None where fewer than two were told."""
    told = [(moment.at_s / 60, found) for moment in moments if (found := value(moment.state)) is not None]
    if len(told) < 2:
        return None
    return *_thinned([minute for minute, _ in told], [found for _, found in told]), words


def _thinned(places: Sequence[float], values: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """As they are, or the medians of neighbours where they are too many to be seen."""
    count = min(len(places), len(values))
    parts = np.array_split(np.arange(count), min(count, MOST_MARKS))
    x, y = np.asarray(places, np.float64), np.asarray(values, np.float64)
    return np.array([np.median(x[part]) for part in parts]), np.array([np.median(y[part]) for part in parts])
