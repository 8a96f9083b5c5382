"""The plots of a measurement, and one picture of them that sums it up."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PIL import Image

from ..drawing import DPI, GRAY, INK, WIDTH_PX, check_drawing, new_figure, picture_of, styled
from .measured import Run
from .plot_memory import draw_memory
from .plot_quality import draw_quality
from .plot_roofline import draw_roofline
from .plot_stages import draw_stages
from .plot_sustained import draw_sustained
from .plot_sweep import draw_sweep
from .plot_times import draw_times

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "check_drawing", "draw_memory", "draw_quality", "draw_roofline", "draw_stages", "draw_sustained", "draw_sweep",
    "draw_times", "summary_picture",
]  # fmt: skip

# The height of a line of the title and of the lead, and how many letters stand in one.
TITLE_PX, TITLE_LETTERS = 28, 105
LINE_PX, LETTERS = 20, 185


def summary_picture(run: Run, title: str, lead: Sequence[str]) -> Image.Image:
    """Times, stages, memory, and of the sweep and the quality what there is, in two columns, 1600 pixels wide.

    lead: sentences under the title, such as what it was measured on.
    """
    drawn = (draw(run) for draw in (draw_times, draw_stages, draw_memory, draw_quality, draw_sweep))
    pictures = [picture_of(figure) for figure in drawn if figure is not None]
    lines = [line for words in lead for line in textwrap.wrap(words, LETTERS)]
    head = picture_of(_head(textwrap.wrap(title, TITLE_LETTERS), lines))
    columns: tuple[list[Image.Image], list[Image.Image]] = ([], [])
    for picture in pictures:
        min(columns, key=_height).append(picture)
    whole = Image.new("RGB", (2 * WIDTH_PX, head.height + max(map(_height, columns))), "white")
    whole.paste(head, (0, 0))
    for left, column in zip((0, WIDTH_PX), columns, strict=True):
        top = head.height
        for picture in column:
            whole.paste(picture, (left, top))
            top += picture.height
    return whole


def _height(column: Sequence[Image.Image]) -> int:
    return sum(picture.height for picture in column)


@styled
def _head(titles: Sequence[str], lines: Sequence[str]) -> Figure:
    below = 26 + TITLE_PX * len(titles)
    height = below + LINE_PX * len(lines) + 14
    figure = new_figure(height, " ".join(titles))
    figure.set_size_inches(2 * WIDTH_PX / DPI, height / DPI)
    left = 16 / (2 * WIDTH_PX)
    for number, line in enumerate(titles):
        figure.text(left, 1 - (16 + TITLE_PX * number) / height, line, va="top", fontsize=16, color=INK)
    for number, line in enumerate(lines):
        figure.text(left, 1 - (below + LINE_PX * number) / height, line, va="top", color=GRAY)
    return figure
