"""A contact sheet: rows of pictures under column titles, each row with what it went on from."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

LEAST_PX = 224  # of a picture's longer side; smaller ones are enlarged by whole factors
GAP_PX = 14
SIDE_PX = 216  # the column of words
LINE_PX = 18
INK, GRAY, FRAME = (30, 30, 30), (110, 110, 110), (200, 200, 200)
PAPER = (246, 246, 246)  # where a picture is missing
VEIL = (232, 62, 140)  # over what a mask opens


@dataclass(frozen=True)
class Row:
    """One row.

    start, mask: what its call went on from, shown small, or None.  pictures: None leaves an empty frame.
    below: a line under the pictures, or one under each.
    """

    title: str
    text: str
    start: Image.Image | None
    mask: Image.Image | None
    pictures: tuple[Image.Image | None, ...]
    below: str | tuple[str, ...]


def draw_sheet(title: str, columns: Sequence[str], rows: Sequence[Row]) -> Image.Image:
    """The sheet; every picture has the size of the first that there is."""
    first = next(picture for row in rows for picture in row.pictures if picture is not None)
    width, height = _enlarged(first).size
    top, step = 2 * GAP_PX + 2 * LINE_PX, height + LINE_PX + 2 * GAP_PX
    across = SIDE_PX + len(columns) * (width + GAP_PX) + 2 * GAP_PX
    sheet = Image.new("RGB", (across, top + len(rows) * step), "white")
    canvas = ImageDraw.Draw(sheet)
    canvas.text((GAP_PX, GAP_PX), title, fill=INK, font=ImageFont.load_default(16))
    lefts = [SIDE_PX + 2 * GAP_PX + i * (width + GAP_PX) for i in range(len(columns))]
    for left, name in zip(lefts, columns):
        canvas.text((left, GAP_PX + LINE_PX + 8), _cut(name, width), fill=GRAY, font=ImageFont.load_default(13))
    for i, row in enumerate(rows):
        y = top + i * step
        _draw_words(sheet, row, y, height)
        for left, picture in zip(lefts, row.pictures):
            _paste(sheet, Image.new("RGB", (width, height), PAPER) if picture is None else _enlarged(picture), left, y)
        for left, words in zip(lefts, (row.below,) if isinstance(row.below, str) else row.below):
            canvas.text((left, y + height + 4), words, fill=GRAY, font=ImageFont.load_default(13))
    return sheet


def _draw_words(sheet: Image.Image, row: Row, y: int, height: int) -> None:
    """The title, the prompt, and below them what the call went on from."""
    canvas = ImageDraw.Draw(sheet)
    canvas.text((GAP_PX, y - 2), row.title, fill=INK, font=ImageFont.load_default(16))
    lines = textwrap.wrap(row.text, 32)[:5]
    for number, line in enumerate(lines):
        canvas.text((GAP_PX, y + 24 + number * LINE_PX), line, fill=INK, font=ImageFont.load_default(13))
    if row.start is None:
        return
    free = y + 24 + len(lines) * LINE_PX + 6
    canvas.text((GAP_PX, free), _from(row), fill=GRAY, font=ImageFont.load_default(13))
    small = row.start.convert("RGB") if row.mask is None else veiled(row.start, row.mask)
    small.thumbnail((SIDE_PX - GAP_PX, y + height - free - LINE_PX - 4))
    _paste(sheet, small, GAP_PX, free + LINE_PX + 4)


def veiled(picture: Image.Image, mask: Image.Image) -> Image.Image:
    """The picture with a colour laid over what the mask opens."""
    open_part = mask.convert("L").resize(picture.size).point(lambda level: level * 2 // 5)
    return Image.composite(Image.new("RGB", picture.size, VEIL), picture.convert("RGB"), open_part)


def _from(row: Row) -> str:
    return "from" if row.mask is None else "from, painted anew where pink"


def _cut(words: str, width: int) -> str:
    """As many letters as fit into so many pixels."""
    font = ImageFont.load_default(13)
    while font.getlength(words) > width:
        words = words.rstrip("\u2026")[:-1] + "\u2026"
    return words


def _enlarged(picture: Image.Image) -> Image.Image:
    times = -(-LEAST_PX // max(picture.size))
    return Image.fromarray(np.asarray(picture.convert("RGB")).repeat(times, axis=0).repeat(times, axis=1))


def _paste(sheet: Image.Image, picture: Image.Image, x: int, y: int) -> None:
    sheet.paste(picture, (x, y))
    # White pictures would melt into the sheet.
    ImageDraw.Draw(sheet).rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=FRAME)
