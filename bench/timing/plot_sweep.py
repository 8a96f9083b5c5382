"""How times grow with the pixels and the steps of a call."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ..drawing import GRAY, INK, new_figure, styled
from .measured import Point, Run
from .plot_words import color_of, columns, folded, names_of, plain_log, seconds_unit, spans
from .result import stages

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "os^DvP*X"
DASHES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
LOGARITHMIC = 6.0  # times: from there on axes are logarithmic, on which powers are straight
CROSS = 0.04  # of the height, for those of one subject
HEIGHT_PX, LEGEND_PX = 400, 20


@styled
def draw_sweep(run: Run) -> Figure | None:
    """A step's and a call's medians against the pixels of a call, or against its steps where only these differ.

    Subjects by color, batches by marker, steps by dash; what was skipped has a cross at the upper edge.
    None for fewer than two points, or without samples.
    """
    points = run.points
    if len(points) < 2 or not any(series.samples for point in points for series in point.series):
        return None
    names = names_of(run)
    batches, steps = (sorted({key(point) for point in points}) for key in (_images, _steps))
    by_pixels = len({point.call.pixels for point in points}) > 1
    keys = (
        len(names) + (len(batches) if len(batches) > 1 else 0) + (len(steps) if by_pixels and len(steps) > 1 else 0) + 1
    )
    figure = new_figure(HEIGHT_PX + LEGEND_PX * -(-keys // 3), "Time of a step and of a call against their size")
    plots = figure.subplots(1, 2)
    for axes, stage, title in zip(plots, ("step", "picture"), ("One step", "One call"), strict=True):
        found: list[float] = []
        for index in range(len(names)):
            # A step's time does not depend on how many there are.
            for count in steps if by_pixels and stage == "picture" else [None]:
                chosen = [point for point in points if count in (None, point.call.steps)]
                found += _curve(axes, chosen, index, stage, by_pixels, steps.index(count) if count is not None else 0)
                for batch in batches:
                    of_batch = medians([p for p in chosen if p.call.images == batch], index, stage, by_pixels)
                    axes.plot(
                        list(of_batch), list(of_batch.values()), color=color_of(index), linestyle="", markersize=5,
                        marker=_marker(batches, batch), markeredgewidth=0, gid=f"{stage} {index} {batch} {count}",
                    )  # fmt: skip
            _cross_out(axes, points, index, by_pixels)
        _scale(axes, [_place(point, by_pixels) for point in points], found, CROSS * len(_skipping(points)))
        axes.set_title(title)
        axes.set_xlabel("megapixels of a call" if by_pixels else "steps")
    any_skipped = any(not series.samples for point in points for series in point.series)
    _legend(figure, names, batches, steps if by_pixels else [], any_skipped)
    return figure


def medians(points: Sequence[Point], index: int, stage: str, by_pixels: bool) -> dict[float, float]:
    """Of one subject: megapixels or steps -> seconds, ascending; where points share a place, of all their samples."""
    found: dict[float, list[float]] = {}
    for point in sorted(points, key=lambda point: _place(point, by_pixels)):
        samples = stages(point.series[index]).get(stage, [])
        if samples:
            found.setdefault(_place(point, by_pixels), []).extend(samples)
    return {place: statistics.median(samples) for place, samples in found.items()}


def _curve(axes: Axes, points: Sequence[Point], index: int, stage: str, by_pixels: bool, dash: int) -> list[float]:
    """A line through all batches: their times are told apart by their markers."""
    curve = medians(points, index, stage, by_pixels)
    axes.plot(
        list(curve), list(curve.values()), color=color_of(index), linestyle=DASHES[dash % len(DASHES)], linewidth=1.2,
        alpha=0.8,
    )  # fmt: skip
    return list(curve.values())


def _cross_out(axes: Axes, points: Sequence[Point], index: int, by_pixels: bool) -> None:
    """One below the other, so that no subject's hides another's."""
    skipping = _skipping(points)
    places = sorted({_place(point, by_pixels) for point in points if not point.series[index].samples})
    height = 0.98 - CROSS * skipping.index(index) if places else 0.0
    (crosses,) = axes.plot(
        places, [height] * len(places), "x", color=color_of(index), markersize=6, markeredgewidth=1.6,
        transform=axes.get_xaxis_transform(), clip_on=False, gid=f"skipped {index}",
    )  # fmt: skip
    crosses.set_in_layout(False)  # its height is not the axis's, which would lay it out far away


def _skipping(points: Sequence[Point]) -> list[int]:
    """The subjects that skipped any."""
    count = len(points[0].series)
    return [index for index in range(count) if any(not point.series[index].samples for point in points)]


def _scale(axes: Axes, places: Sequence[float], found: Sequence[float], free: float) -> None:
    """free: the share of the height that crosses take."""
    unit, scale = seconds_unit(found)
    low, high = min(found), max(found)
    logarithmic = spans(found, LOGARITHMIC) or spans(places, LOGARITHMIC)
    if logarithmic:
        plain_log(axes, "x", places)
        plain_log(axes, "y", found)
        more = max(high / low, 1.5)
        axes.set_ylim(low / more**0.06, high * more ** (0.06 + free / (1 - free)))
    else:
        axes.set_ylim(0, high * (1.06 + free / (1 - free)))
    axes.set_xlim(*_around(places, logarithmic))
    axes.yaxis.set_major_formatter(lambda value, _: f"{scale * value:.12g}")
    axes.set_ylabel(unit)


def _around(places: Sequence[float], logarithmic: bool) -> tuple[float, float]:
    low, high = min(places), max(places)
    if logarithmic:
        more = (high / low) ** 0.06
        return low / more, high * more
    return 0.0, 1.06 * high


def _legend(
    figure: Figure, names: Sequence[str], batches: Sequence[int], steps: Sequence[int], any_skipped: bool
) -> None:
    from matplotlib.lines import Line2D

    keys = [Line2D([], [], color=color_of(index), label=folded(name)) for index, name in enumerate(names)]
    if len(batches) > 1:
        for batch in batches:
            words = f"{batch} picture{'s' if batch > 1 else ''} a call"
            keys.append(Line2D([], [], color=GRAY, linestyle="", marker=_marker(batches, batch), label=words))
    if len(steps) > 1:
        keys += [
            Line2D([], [], color=GRAY, linestyle=DASHES[place % len(DASHES)], label=f"{count} steps")
            for place, count in enumerate(steps)
        ]
    if any_skipped:
        keys.append(Line2D([], [], color=INK, linestyle="", marker="x", markeredgewidth=1.6, label="skipped"))
    figure.legend(handles=keys, loc="outside lower center", ncols=columns(keys, 3))


def _marker(batches: Sequence[int], batch: int) -> str:
    return MARKERS[list(batches).index(batch) % len(MARKERS)]


def _place(point: Point, by_pixels: bool) -> float:
    return point.call.pixels / 1e6 if by_pixels else float(point.call.steps)


def _images(point: Point) -> int:
    return point.call.images


def _steps(point: Point) -> int:
    return point.call.steps
