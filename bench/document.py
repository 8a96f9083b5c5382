"""Pages that hold all they show: they ask for no other file and run no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape

from PIL import Image

STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --gray: #6b6b6b; --rule: #dedede; --paper: #ffffff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --gray: #9d9d9d; --rule: #3a3a3a; --paper: #161616; }
}
body { margin: 2.5rem auto; padding: 0 1.5rem; max-width: 84rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; font-weight: 600; margin: 0 0 1.5rem; }
h2 { font-size: 1.1rem; font-weight: 600; margin: 3rem 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem 1.6rem .45rem 0; border-bottom: 1px solid var(--rule); text-align: left; white-space: nowrap;
  vertical-align: baseline; }
th { color: var(--gray); font-weight: 400; border-bottom-color: var(--ink); }
.number { text-align: right; }
td.long { white-space: normal; min-width: 18rem; }
.notes, figcaption { color: var(--gray); font-size: 13px; }
.notes { padding-left: 1.2rem; max-width: 60rem; }
section { margin: 0 0 2rem; }
section p { margin: 0 0 .5rem; max-width: 60rem; }
.row { display: grid; gap: 1rem; }
figure { margin: 0; }
img, .missing { display: block; width: 100%; box-sizing: border-box; border: 1px solid var(--rule); }
img.small { image-rendering: pixelated; }
.missing { aspect-ratio: 1; }
"""
SMALL_PX = 256  # pictures up to this side are enlarged pixel by pixel
LONG_LETTERS = 40  # a longer cell is written in lines


def document(title: str, body: Iterable[str], style: str = "") -> str:
    """The whole page.  title: plain text.  body: elements, one below the other.  style: rules after those of STYLE."""
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}{style}</style>",
    ]
    lines = ["<!doctype html>", '<html lang="en">', "<head>", *head, "</head>", "<body>", *body, "</body>", "</html>"]
    return "\n".join(lines) + "\n"


def notes(sentences: Iterable[str]) -> str:
    """A list of plain texts, small and gray."""
    return "\n".join(['<ul class="notes">', *(f"<li>{escape(sentence)}</li>" for sentence in sentences), "</ul>"])


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[bool]) -> str:
    """Cells are plain texts.  numbers: whether a column's cells are read from the right."""

    def row(tag: str, cells: Sequence[str]) -> str:
        kinds = [
            "number" if number else "long" if len(cell) > LONG_LETTERS else ""
            for cell, number in zip(cells, numbers, strict=True)
        ]
        inside = (
            f'<{tag} class="{kind}">{escape(cell)}</{tag}>' if kind else f"<{tag}>{escape(cell)}</{tag}>"
            for cell, kind in zip(cells, kinds, strict=True)
        )
        return f"<tr>{''.join(inside)}</tr>"

    lines = [row("th", header), *(row("td", cells) for cells in rows)]
    return '<div class="scroll"><table>\n' + "\n".join(lines) + "\n</table></div>"


def image(picture: Image.Image, words: str) -> str:
    """The picture within the page.  words: for those who can't see it."""
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    kind = ' class="small"' if max(picture.size) <= SMALL_PX else ""
    source = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img{kind} alt="{escape(words)}" src="data:image/png;base64,{source}">'
