"""Words, colors and axes that all plots of a measurement share."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence, Sized
from typing import TYPE_CHECKING

from ..drawing import COLORS, GRAY, INK
from .measured import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SPREAD = 30.0  # times the least: more than that is seen on a logarithmic axis only
NAME_LETTERS = 26  # of a name in one line
ROW_PX, FRAME_PX = 44, 110


def color_of(index: int) -> str:
    """Of a subject, the same in all plots."""
    return COLORS[index % len(COLORS)]


def names_of(run: Run) -> list[str]:
    return [measured.order.name for measured in run.subjects]


def folded(name: str, letters: int = NAME_LETTERS) -> str:
    """A long name in some lines."""
    return "\n".join(textwrap.wrap(name, letters)) or name


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """One row for each, the first at the top."""
    axes.set_yticks(range(len(names)), [folded(name) for name in names], color=INK)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def beside(axes: Axes, row: int, words: str) -> None:
    """Words to the right of a row, outside of the axes."""
    axes.annotate(
        words, (1, row), (4, 0), ("axes fraction", "data"), textcoords="offset points", va="center",
        color=GRAY if words == "-" else INK, annotation_clip=False, linespacing=1.25, gid=f"beside {row}",
    )  # fmt: skip


def rows_px(names: Sequence[str], row_px: float = ROW_PX) -> float:
    """The height of a plot with a row for each name."""
    lines = max((folded(name).count("\n") + 1 for name in names), default=1)
    return FRAME_PX + len(names) * max(row_px, 8 + 16 * lines)


def spans(values: Iterable[float], times: float = SPREAD) -> bool:
    """Whether they lie so far apart."""
    positive = [value for value in values if value > 0]
    return bool(positive) and max(positive) / min(positive) > times


def seconds(value: float) -> str:
    """As people say it."""
    for least, unit, scale in ((1.0, "s", 1.0), (1e-3, "ms", 1e3)):
        if abs(value) >= least:
            return f"{three(scale * value)} {unit}"
    return f"{three(1e6 * value)} µs"


def seconds_unit(values: Iterable[float]) -> tuple[str, float]:
    """Of an axis, and what seconds are multiplied by."""
    return ("s", 1.0) if max(values, default=1.0) >= 1 else ("ms", 1e3)


def size(size_bytes: float) -> str:
    return f"{three(size_bytes / 1e9)} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"


def size_unit(values: Iterable[float]) -> tuple[str, float]:
    """Of an axis, and what bytes are multiplied by."""
    return ("GB", 1e-9) if max(values, default=0.0) >= 1e9 else ("MB", 1e-6)


def columns(keys: Sized, most: int = 5) -> int:
    """Of a legend: as many in each row as can be alike."""
    rows = max(1, -(-len(keys) // most))
    return max(1, -(-len(keys) // rows))


def plain_log(axes: Axes, which: str, values: Iterable[float]) -> None:
    """A logarithmic axis with numbers as people write them, of which some stand even where `values` lie close."""
    from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1.0,) if spans(values, 300) else (1.0, 2.0, 5.0), numticks=12))
    axis.set_major_formatter(lambda value, _: f"{value:.12g}")
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def three(value: float) -> str:
    """Three figures, never in powers of ten."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")
