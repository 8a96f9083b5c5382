"""A measurement as a page and as a picture: tables and the plots that belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime.pixels import write_whole
from . import page
from .measured import Run
from .plots import (
    draw_memory,
    draw_quality,
    draw_roofline,
    draw_stages,
    draw_sustained,
    draw_sweep,
    draw_times,
    summary_picture,
)  # fmt: skip
from .result import Result
from .summary import Part, foot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_page(result: Result, parts: Sequence[Part], file: Path) -> None:
    """One HTML file with everything in it.  Raises OutputFailed."""
    sections = [
        page.Section(part.title, part.note, (part.rows, part.head), tuple(_figures(part.title, result.run)))
        for part in parts
    ]
    page.write_page(_title(result.run), _lead(result), sections, file)


def write_picture(result: Result, file: Path) -> None:
    """One PNG.  Raises OutputFailed."""
    drawn = summary_picture(result.run, _title(result.run), _lead(result))
    write_whole(file, lambda beside: drawn.save(beside, format="PNG", optimize=True))


def _figures(title: str, run: Run) -> list[Figure]:
    """Those that belong to the table of that title."""
    names = [measured.order.name for measured in run.subjects]
    drawn = {
        "Times and memory": lambda: [draw_times(run), draw_stages(run), draw_memory(run)],
        "Quality": lambda: [draw_quality(run)],
        "Sweep": lambda: [draw_sweep(run)],
        "Roofline": lambda: [draw_roofline(run)],
        "Over the minutes": lambda: [draw_sustained(run.points[0], names)],
    }
    if title in drawn:
        return [figure for figure in drawn[title]() if figure is not None]
    return [_flame(run, name) for name in names if title == f"Operators of {name}"]


def _flame(run: Run, name: str) -> Figure:
    from ..profiling.flame import flame

    profile = next(measured.profile for measured in run.subjects if measured.order.name == name)
    assert profile is not None
    return flame(profile, name)


def _title(run: Run) -> str:
    return ", ".join(measured.order.name for measured in run.subjects)


def _lead(result: Result) -> list[str]:
    call = result.run.points[0].call
    printed = f"Printed: {call.prompt!r}, {call}, guidance {call.guidance_scale:g}, seed {call.seed}."
    return [printed, *foot(result)]
