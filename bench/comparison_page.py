"""A comparison as one HTML file that holds its pictures; and both files of the report, written."""

from __future__ import annotations

from html import escape
from pathlib import Path

from ..runtime.errors import BadRequest
from ..runtime.pixels import write_whole
from .comparison_figures import Comparison
from .comparison_picture import draw_comparison
from .comparison_table import Table, caption, figures, notes, parts
from .document import document, image, table
from .document import notes as list_of

MISSING = '<div class="missing"></div>'


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
        list_of(notes(found)),
        "<h2>The same seed from each bundle</h2>",
        *(_row(found, index) for index in range(len(found.prompts))),
        "<h2>Where the bytes are</h2>",
        _table(parts(found)),
        "<h2>The bundles</h2>",
        _table(folders),
    ]
    return document(title, body)


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


def _table(of: Table) -> str:
    return table(of.header, of.rows, of.numbers)


def _row(found: Comparison, index: int) -> str:
    """One prompt's pictures, of every bundle."""
    cells = []
    for entry, pictures in zip(found.entries, found.pictures):
        said = ": ".join(filter(None, (entry.name, caption(found, entry, index) if pictures else "no picture")))
        shown = image(pictures[index], f"{found.prompts[index]}, by {entry.name}") if pictures else ""
        cells.append(f"<figure>{shown or MISSING}<figcaption>{escape(said)}</figcaption></figure>")
    columns = f"grid-template-columns: repeat({len(cells)}, minmax(0, 1fr))"
    words = f"{found.prompts[index]} (seed {found.seed})"
    return (
        f'<section><p>{escape(words)}</p><div class="row" style="{columns}">\n'
        + "\n".join(cells)
        + "\n</div></section>"
    )
