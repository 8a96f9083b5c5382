"""The memory that each subject takes, and what it is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..drawing import GRAY, INK, new_figure, styled
from .measured import Measured, Run
from .memory import MemoryUse
from .plot_words import columns, name_rows, names_of, rows_px, size, size_unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SETTLED = "pictures"  # the stage after whose beginning memory counts as steady
WEIGHTS, OWN, LIBRARIES, SHARED = "weights, mapped", "its own", "libraries and programs", "shared"
ALL, PEAK, FLOOR = "steady, not told apart", "more at the peak", "least that it prints with"
COLORS = {
    WEIGHTS: "#4a6a8a", OWN: "#b07a55", LIBRARIES: "#8a8a8a", SHARED: "#8b7aa5", ALL: "#7189a0", PEAK: "#d3c4b2",
}  # fmt: skip


def held(memory: MemoryUse) -> dict[str, float]:
    """Bytes by what they are, up to the peak: those of the steady memory, and what the peak has more.

    The steady memory is split as it was at the end of the counted pictures, where the system told.
    """
    found: dict[str, float] = {}
    steady = memory.steady or 0
    if steady:
        parts = next((stage.parts for stage in memory.stages if stage.name == SETTLED and stage.parts), None)
        if parts is not None and parts.resident:
            split = {
                WEIGHTS: parts.weights, OWN: parts.anonymous, LIBRARIES: parts.other_files, SHARED: parts.shared,
            }  # fmt: skip
            found = {name: steady * part / parts.resident for name, part in split.items() if part}
        else:
            found[ALL] = steady
    if memory.peak is not None and memory.peak > steady:
        found[PEAK] = memory.peak - steady
    return found


@styled
def draw_memory(run: Run) -> Figure | None:
    """A bar for each subject up to its peak, and a second plot of a GPU's memory where there is any; None without both.

    A mark stands at the least memory that it printed with, where that was looked for.
    """
    found = [held(measured.memory) if measured.memory else {} for measured in run.subjects]
    gpu = [_vram(measured) for measured in run.subjects]
    if not any(found) and not any(gpu):
        return None
    names = names_of(run)
    figure = new_figure(rows_px(names) + (50 if any(found) else 0), "Memory of each subject: steady and at its peak")
    plots = figure.subplots(1, 2, sharey=True, squeeze=False)[0] if any(found) and any(gpu) else [figure.add_subplot()]
    if any(found):
        _draw_resident(plots[0], run.subjects, found, 1.32 if len(plots) == 1 else 1.62)
        handles, labels = plots[0].get_legend_handles_labels()
        keys = dict(zip(labels, handles, strict=True))
        order = sorted(keys, key=lambda label: label == FLOOR)
        figure.legend([keys[label] for label in order], order, loc="outside lower center", ncols=columns(order))
    if any(gpu):
        _draw_gpu(plots[-1], gpu)
    name_rows(plots[0], names)
    if len(plots) > 1:
        plots[1].tick_params(labelleft=False)
        plots[1].spines["left"].set_visible(False)
        plots[1].grid(visible=False, axis="y")
    return figure


def _draw_resident(axes: Axes, subjects: Sequence[Measured], found: Sequence[dict[str, float]], room: float) -> None:
    """room: the width of the axes over that of the longest bar, for the words beside it."""
    unit, scale = size_unit([sum(parts.values()) for parts in found])
    lefts = [0.0] * len(found)
    for name in [name for name in COLORS if any(name in parts for parts in found)]:
        widths = [scale * parts.get(name, 0.0) for parts in found]
        axes.barh(range(len(found)), widths, 0.62, lefts, color=COLORS[name], label=name)
        lefts = [left + width for left, width in zip(lefts, widths, strict=True)]
    floors = [(row, scale * of.floor.ran) for row, of in enumerate(subjects) if of.floor is not None]
    if floors:
        axes.plot(
            [place for _, place in floors], [row for row, _ in floors], "D", color=INK, markersize=5,
            label=FLOOR, clip_on=False,
        )  # fmt: skip
    for row, (of, left) in enumerate(zip(subjects, lefts, strict=True)):
        _beside(axes, row, left, _words(of.memory))
    widest = max([*lefts, *(place for _, place in floors)])
    axes.set_xlim(0, room * widest if widest else 1)
    axes.set_xlabel(unit)
    axes.set_title("Resident memory")


def _draw_gpu(axes: Axes, gpu: Sequence[float | None]) -> None:
    unit, scale = size_unit([most for most in gpu if most])
    axes.barh(range(len(gpu)), [scale * (most or 0) for most in gpu], 0.62, color=COLORS[ALL])
    for row, most in enumerate(gpu):
        _beside(axes, row, scale * (most or 0), size(most) if most else "-")
    axes.set_xlim(0, 1.25 * scale * max(most for most in gpu if most))
    axes.set_xlabel(unit)
    axes.set_title("The GPU's memory, at its peak")


def _beside(axes: Axes, row: int, place: float, words: str) -> None:
    axes.annotate(
        words, (place, row), (5, 0), textcoords="offset points", va="center", linespacing=1.25,
        color=GRAY if words == "-" else INK, gid=f"memory {row}",
    )  # fmt: skip


def _words(memory: MemoryUse | None) -> str:
    if memory is None:
        return "-"
    told = (("steady", memory.steady), ("peak", memory.peak))
    return "\n".join(f"{name} {size(found)}" for name, found in told if found) or "-"


def _vram(measured: Measured) -> float | None:
    if measured.vram is not None:
        return measured.vram.process_bytes or measured.vram.growth_bytes
    return sum(measured.device_bytes.values()) or None
