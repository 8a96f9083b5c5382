"""A measurement as one HTML file: tables, and plots as drawings within it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime.pixels import write_whole
from ..document import document, notes, table
from ..drawing import svg_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLE = """
figure + figure { margin-top: 1.5rem; }
.scroll + figure { margin-top: 2rem; }
figure svg { display: block; max-width: 100%; height: auto; }
figure svg * { stroke-linejoin: round; }
figure svg text { font-family: system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); }
"""
# What counts as a number: "3.41 s", "-", "2.93 (2.91 to 2.95)", "+5.6 %", "480 of 500".
NUMBER = re.compile(r"[-+]?(\d[\d.]*(e[-+]\d+)?)?( ?(ms|µs|s|kB|MB|GB|dB|%|\u00d7))?( \(.*\))?( dB)?|\d+ of \d+|-?")


@dataclass(frozen=True)
class Section:
    """A part of the page under its title.  note: a sentence.  table: its rows and its head.  figures: below it."""

    title: str
    note: str = ""
    table: tuple[Sequence[Sequence[str]], Sequence[str]] | None = None
    figures: tuple[Figure, ...] = ()


def page(title: str, lead: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole document; it asks for no other file and runs no script.

    lead: sentences under the title, such as what it was measured on.  Plots are in the page's colors, light or dark.
    """
    body = [f"<h1>{escape(title)}</h1>", notes(lead)]
    for number, section in enumerate(sections):
        body += ["<section>", *_inside(section, number), "</section>"]
    return document(title, body, STYLE)


def write_page(title: str, lead: Sequence[str], sections: Sequence[Section], path: Path) -> None:
    """Write it whole or not at all.  Raises OutputFailed."""
    text = page(title, lead, sections)
    write_whole(path, lambda file: file.write_text(text, encoding="utf-8"))


def _inside(section: Section, number: int) -> Iterator[str]:
    yield f"<h2>{escape(section.title)}</h2>"
    if section.note:
        yield f"<p>{escape(section.note)}</p>"
    if section.table is not None:
        rows, head = section.table
        yield table(head, rows, [_is_number([row[column] for row in rows]) for column in range(len(head))])
    for index, figure in enumerate(section.figures):
        yield f"<figure>\n{svg_of(figure, f'p{number}-{index}')}\n</figure>"


def _is_number(cells: Sequence[str]) -> bool:
    """Whether a column is read from the right."""
    return any(any(letter.isdigit() for letter in cell) for cell in cells) and all(map(NUMBER.fullmatch, cells))
