"""How far every stage is from what the machine was seen to reach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drawing import INK, new_figure, styled
from ..roofline.floor import Floor, floor
from .measured import Run, Series
from .plot_words import beside, color_of, folded, names_of, seconds, three
from .summary import call_seconds

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW_PX, FRAME_PX = 30, 120


@styled
def draw_roofline(run: Run) -> Figure | None:
    """Of each component at the first point: the time of its calls over the least that its work can take.

    None where no work was counted, or no peaks measured.
    """
    names = names_of(run)
    rows = [
        (index, name, taken, least)
        for index, series in enumerate(run.points[0].series if run.points else ())
        for name, (taken, least) in over_floor(run, index, series).items()
    ]
    if not rows:
        return None
    figure = new_figure(
        FRAME_PX + ROW_PX * len(rows) + 22 * len(names), "Time of each component over the least that it can take"
    )
    axes = figure.add_subplot()
    seen: set[int] = set()
    for place, (index, _, taken, least) in enumerate(rows):
        ratio = taken / least.seconds
        label = None if index in seen else folded(names[index], 80)
        seen.add(index)
        axes.barh(place, ratio, 0.62, color=color_of(index), label=label, gid=f"floor {place}")
        words = f"{three(ratio)}\u00d7  {seconds(taken)} over {seconds(least.seconds)} ({least.limit})"
        beside(axes, place, words)
    axes.axvline(1.0, color=INK, linewidth=1.2)
    axes.set_yticks(range(len(rows)), [name for _, name, _, _ in rows], color=INK)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0, 1.06 * max(1.0, *(taken / least.seconds for _, _, taken, least in rows)))
    axes.set_xlabel("times the least")
    axes.set_title("Time of each component over the least that this machine's peaks allow")
    figure.legend(loc="outside lower left", ncols=1)
    return figure


def over_floor(run: Run, index: int, series: Series) -> dict[str, tuple[float, Floor]]:
    """Of one subject's components: the median of a call's seconds, and the least."""
    found: dict[str, tuple[float, Floor]] = {}
    if run.peaks is None or not series.samples:
        return found
    for name, work in run.subjects[index].work.items():
        taken, least = call_seconds(series, name), floor(work, run.peaks)
        if taken is not None and least.seconds > 0:
            found[name] = (taken, least)
    return found
