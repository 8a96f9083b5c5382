"""What a subject's speed costs in quality."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from ..drawing import new_figure, styled
from .measured import Run
from .plot_words import color_of, folded, names_of, plain_log, seconds_unit, spans
from .result import stages

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT_PX = 400
MARKERS = "os^DvPX*"


@styled
def draw_quality(run: Run) -> Figure | None:
    """The median of a step at the first point against the mean PSNR, with a line down to the worst picture's.

    None where no subject has both.
    """
    found = []
    for index, measured in enumerate(run.subjects):
        steps = stages(run.points[0].series[index]).get("step") if run.points else None
        if steps and measured.quality and measured.quality.pictures:
            found.append((index, statistics.median(steps), [one.psnr_db for one in measured.quality.pictures]))
    if not found:
        return None
    figure = new_figure(HEIGHT_PX, "Time of a step against likeness to the reference")
    axes = figure.add_subplot()
    unit, scale = seconds_unit([step for _, step, _ in found])
    names = names_of(run)
    for index, step, decibels in found:
        mean, worst = statistics.mean(decibels), min(decibels)
        axes.plot(
            [scale * step] * 2,
            [worst, mean],
            color=color_of(index),
            linewidth=1.6,
            alpha=0.6,
            marker="_",
            markevery=[0],
        )
        axes.plot(
            scale * step, mean, marker=MARKERS[index % len(MARKERS)], linestyle="", color=color_of(index), markersize=8,
            label=folded(names[index]), gid=f"quality {index}", zorder=3,
        )  # fmt: skip
    if spans([step for _, step, _ in found]):
        plain_log(axes, "x", [step for _, step, _ in found])
        axes.margins(x=0.1)
    else:
        axes.set_xlim(0, 1.08 * scale * max(step for _, step, _ in found))
    axes.margins(y=0.12)
    axes.set_xlabel(f"a step, {unit}: further left is faster")
    axes.set_ylabel("PSNR, dB: higher is more alike")
    reference = next(measured.quality.reference for measured in run.subjects if measured.quality)
    axes.set_title(f"Likeness to {reference}: the mean, down to the worst", wrap=True)
    figure.legend(loc="outside right center", labelspacing=1.0)
    return figure
