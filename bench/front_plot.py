"""What a search tried, as a picture: quality against time or size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..runtime.errors import OutputFailed
from .drawing import check_drawing

KEPT, MISSED, CHOSEN = "#2a78b5", "#b0b0b0", "#d9541e"


@dataclass(frozen=True)
class Point:
    """One candidate.  time_ratio: of a step, to the unquantized profile's.  kept: it is within the budget."""

    name: str
    time_ratio: float
    size_bytes: int
    psnr_db: float
    kept: bool
    chosen: bool


def check_plot(file: Path) -> None:
    """Raises MissingPackage without matplotlib, OutputFailed where the file can't be."""
    check_drawing("--plot")
    if file.suffix != ".png" or not file.parent.is_dir():
        raise OutputFailed(f"can't draw {file}; give the name of a .png in a folder that exists")


def draw_front(points: Sequence[Point], objective: Literal["time", "size"], file: Path) -> None:
    """Draw all points, the best of which are joined: nothing else is at once smaller (or faster) and more alike."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    places = [(point.time_ratio if objective == "time" else point.size_bytes / 1e6, point) for point in points]
    best = _best(places)
    axes.plot([place for place, _ in best], [point.psnr_db for _, point in best], color=KEPT, alpha=0.35, zorder=1)
    named: set[tuple[str, str]] = set()
    for place, point in sorted(places, key=lambda pair: not pair[1].chosen):
        color = CHOSEN if point.chosen else KEPT if point.kept else MISSED
        axes.scatter(place, point.psnr_db, color=color, s=70 if point.chosen else 34, zorder=2)
        where = (f"{place:.3g}", f"{point.psnr_db:.3g}")
        if where in named:  # two mixes that come to the same; their names would lie over each other
            continue
        named.add(where)
        axes.annotate(point.name, (place, point.psnr_db), (6, 4), textcoords="offset points", fontsize=9, color=color)
    axes.set_xlabel("time of a step, against the unquantized profile's" if objective == "time" else "bundle, MB")
    axes.set_ylabel("worst golden image against the checkpoint's own, dB")
    axes.set_title("orange: chosen    blue: within the budget    grey: not", fontsize=10)
    axes.grid(alpha=0.25)
    axes.margins(x=0.12, y=0.1)
    figure.savefig(file, dpi=120)


def _best(places: Sequence[tuple[float, Point]]) -> list[tuple[float, Point]]:
    """Those that no other beats in both, by place."""
    found: list[tuple[float, Point]] = []
    for place, point in sorted(places, key=lambda pair: (pair[0], -pair[1].psnr_db)):
        if not found or point.psnr_db > found[-1][1].psnr_db:
            found.append((place, point))
    return found
