"""A comparison as one HTML file that holds its pictures; and both files of the report, written."""

from __future__ import annotations

import base64
import io
from html import escape
from pathlib import Path

from PIL import Image

from ..runtime.errors import BadRequest
from ..runtime.pixels import write_whole
from .comparison_figures import Comparison
from .comparison_picture import draw_comparison
from .comparison_table import Table, caption, figures, notes, parts

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
MISSING = '<div class="missing"></div>'
SMALL_PX = 256  # pictures up to this side are enlarged pixel by pixel


def page(found: Comparison) -> str:
    """The whole document: tables, notes, and the pictures within it; it asks for no other file and runs no script."""
    names = [entry.name for entry in found.entries]
    title = f"{found.model}: {', '.join(names)}"
    folders = Table(
        ("bundle", "target", "folder"), tuple((e.name, e.target, e.folder) for e in found.entries), (False,) * 3
    )
    body = [
        f"<h1>{escape(title)}</h1>",
        _table(figures(found)),
        '<ul class="notes">',
        *(f"<li>{escape(note)}</li>" for note in notes(found)),
        "</ul>",
        "<h2>The same seed from each bundle</h2>",
        *(_row(found, index) for index in range(len(found.prompts))),
        "<h2>Where the bytes are</h2>",
        _table(parts(found)),
        "<h2>The bundles</h2>",
        _table(folders),
    ]
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
    ]
    lines = ["<!doctype html>", '<html lang="en">', "<head>", *head, "</head>", "<body>", *body, "</body>", "</html>"]
    return "\n".join(lines) + "\n"


def picture_beside(output: Path) -> Path:
    """Where the report's PNG goes.  Raises BadRequest where `output` is no name for an HTML file in a folder."""
    if output.suffix.lower() not in (".html", ".htm"):
        raise BadRequest(f"the report is an HTML file with a PNG beside it; {output} should end in .html")
    if not output.parent.is_dir():
        raise BadRequest(f"there is no folder {output.parent} for {output.name}; make it first")
    return output.with_suffix(".png")


def write_report(found: Comparison, output: Path) -> tuple[Path, Path]:
    """Write the page and the picture beside it, each whole or not at all.  Raises BadRequest, OutputFailed."""
    picture = picture_beside(output)
    text, drawn = page(found), draw_comparison(found)
    write_whole(output, lambda beside: beside.write_text(text, encoding="utf-8"))
    write_whole(picture, lambda beside: drawn.save(beside, format="PNG", optimize=True))
    return output, picture


def _table(table: Table) -> str:
    def row(tag: str, cells: tuple[str, ...]) -> str:
        kinds = ["number" if number else "long" if len(cell) > 40 else "" for cell, number in zip(cells, table.numbers)]
        inside = (
            f'<{tag} class="{kind}">{escape(cell)}</{tag}>' if kind else f"<{tag}>{escape(cell)}</{tag}>"
            for cell, kind in zip(cells, kinds)
        )
        return f"<tr>{''.join(inside)}</tr>"

    lines = [row("th", table.header), *(row("td", cells) for cells in table.rows)]
    return '<div class="scroll"><table>\n' + "\n".join(lines) + "\n</table></div>"


def _row(found: Comparison, index: int) -> str:
    """One prompt's pictures, of every bundle."""
    cells = []
    for entry, pictures in zip(found.entries, found.pictures):
        said = ": ".join(filter(None, (entry.name, caption(found, entry, index) if pictures else "no picture")))
        shown = _image(pictures[index], f"{found.prompts[index]}, by {entry.name}") if pictures else ""
        cells.append(f"<figure>{shown or MISSING}<figcaption>{escape(said)}</figcaption></figure>")
    columns = f"grid-template-columns: repeat({len(cells)}, minmax(0, 1fr))"
    words = f"{found.prompts[index]} (seed {found.seed})"
    return (
        f'<section><p>{escape(words)}</p><div class="row" style="{columns}">\n'
        + "\n".join(cells)
        + "\n</div></section>"
    )


def _image(picture: Image.Image, words: str) -> str:
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    kind = ' class="small"' if max(picture.size) <= SMALL_PX else ""
    source = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img{kind} alt="{escape(words)}" src="data:image/png;base64,{source}">'
