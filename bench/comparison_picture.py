"""A comparison as one picture: the table, the contact sheet of the same seeds, and how it was measured."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from .comparison_figures import Comparison
from .comparison_table import Table, caption, figures, notes
from .sheet import GAP_PX, GRAY, INK, LINE_PX, Row, draw_sheet

MOST_PX = 512  # of a picture's longer side; the page has larger ones in full
FONT_PX = 13
RULE = (222, 222, 222)
REASON_LETTERS = 44  # of a failure's reason in one line


def draw_comparison(found: Comparison) -> Image.Image:
    """The report without its sizes of components."""
    names = [entry.name for entry in found.entries]
    rows = [
        Row(
            title=f"seed {found.seed}",
            text=prompt,
            start=None,
            mask=None,
            pictures=tuple(_small(pictures[index]) if pictures else None for pictures in found.pictures),
            below=tuple(caption(found, entry, index) for entry in found.entries),
        )
        for index, prompt in enumerate(found.prompts)
    ]
    pieces = [draw_table(figures(found))]
    if any(found.pictures):
        pieces.append(draw_sheet(f"The same seed from each bundle, {found.steps} steps", names, rows))
    width = max(piece.width for piece in pieces)
    return stack([_title(f"{found.model}: {', '.join(names)}", width), *pieces, _paragraphs(notes(found), width)])


def draw_table(table: Table) -> Image.Image:
    """Rows of words with a rule under each; numbers end at the right of their column, words begin at its left."""
    font = ImageFont.load_default(FONT_PX)
    rows = [tuple(textwrap.fill(cell, REASON_LETTERS) for cell in row) for row in (table.header, *table.rows)]
    widths = [max(_width(row[column], font) for row in rows) for column in range(len(table.header))]
    heights = [max(cell.count("\n") + 1 for cell in row) * LINE_PX + 10 for row in rows]
    across = sum(widths) + (len(widths) + 1) * 2 * GAP_PX - 2 * GAP_PX
    picture = Image.new("RGB", (across, sum(heights) + GAP_PX), "white")
    canvas, top = ImageDraw.Draw(picture), 0
    for number, (row, height) in enumerate(zip(rows, heights)):
        left = GAP_PX
        for cell, width, right in zip(row, widths, table.numbers):
            x = left + (width - _width(cell, font) if right else 0)
            canvas.multiline_text((x, top + 5), cell, fill=INK if number else GRAY, font=font, spacing=5)
            left += width + 2 * GAP_PX
        top += height
        canvas.line((GAP_PX, top - 1, across - GAP_PX, top - 1), fill=INK if number == 0 else RULE)
    return picture


def stack(pieces: Sequence[Image.Image]) -> Image.Image:
    """One below the other on white."""
    whole = Image.new("RGB", (max(p.width for p in pieces), sum(p.height for p in pieces)), "white")
    top = 0
    for piece in pieces:
        whole.paste(piece, (0, top))
        top += piece.height
    return whole


def _title(words: str, width: int) -> Image.Image:
    picture = Image.new("RGB", (width, 2 * LINE_PX + GAP_PX), "white")
    ImageDraw.Draw(picture).text((GAP_PX, GAP_PX), words, fill=INK, font=ImageFont.load_default(20))
    return picture


def _paragraphs(sentences: Sequence[str], width: int) -> Image.Image:
    # A letter of this font is about half as wide as it is high.
    letters = max(40, 2 * (width - 2 * GAP_PX) // FONT_PX)
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, letters)]
    picture = Image.new("RGB", (width, len(lines) * LINE_PX + 2 * GAP_PX), "white")
    for number, line in enumerate(lines):
        ImageDraw.Draw(picture).text(
            (GAP_PX, GAP_PX + number * LINE_PX), line, fill=GRAY, font=ImageFont.load_default(FONT_PX)
        )
    return picture


def _small(picture: Image.Image) -> Image.Image:
    small = picture.copy()
    small.thumbnail((MOST_PX, MOST_PX))
    return small


def _width(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return round(max(font.getlength(line) for line in text.split("\n")))
