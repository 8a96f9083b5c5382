"""`aquatint quantize`: what quantizing saved, and what it cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .search_command import search_command
from .terminal import Progress, drive, table

if TYPE_CHECKING:
    from .bench.comparison import Progress as Doing
    from .bench.comparison_figures import Comparison


@click.group("quantize")
def quantize_group() -> None:
    """See what fewer bits save, and what they cost.

    Bundles are quantized when they are compiled: `aquatint compile MODEL --quantize int4`.
    """


quantize_group.add_command(search_command)


@quantize_group.command("schemes")
@click.option("--markdown", is_flag=True, help="Print the table of docs/quantization.md.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def schemes_command(markdown: bool, as_json: bool) -> None:
    """List the schemes: what each stores, and which targets run it."""
    from .catalogue import describe_schemes, schemes_markdown

    rows = describe_schemes()
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    elif markdown:
        click.echo(schemes_markdown())
    else:
        cells = [(r["scheme"], f"{r['bits']:g}", r["what"], ", ".join(r["targets"]) or "none yet") for r in rows]
        click.echo(table(cells, ("scheme", "bits", "what it stores", "runs on")))


@quantize_group.command("report")
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("report.html"),
    show_default=True,
    help="The page.  The same as one picture goes beside it, such as report.png.",
)
@click.option(
    "--prompt",
    "prompts",
    metavar="TEXT",
    multiple=True,
    help="What a picture shows; repeat the option for several.  [default: four built-in ones]",
)
@click.option("--seed", default=0, show_default=True, help="Of every picture: all bundles start from the same noise.")
@click.option("--steps", type=click.IntRange(3), help="Of every picture.  [default: the first bundle's]")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="How often every bundle is measured; more tell better whether a difference in time is real.",
)
@click.option(
    "--judge",
    is_flag=True,
    help="Demo model only: also count how many of 200 prompts are drawn right, some minutes for each bundle.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")  # fmt: skip
def report_command(
    bundles: tuple[Path, ...],
    output: Path,
    prompts: tuple[str, ...],
    seed: int,
    steps: int | None,
    rounds: int,
    judge: bool,
    as_json: bool,
) -> None:
    """Compare BUNDLEs of one model: size, speed, memory, and pictures of the same seed side by side.

    The first one is the reference that the others are held against, usually the one that is not quantized.
    Every bundle is measured in a process of its own, in turns; close what else is busy on the machine.

    \b
    aquatint compile demo -o out/float
    aquatint compile demo --quantize int8-weights --budget 25 -o out/int8
    aquatint quantize report out/float out/int8 -o report.html
    """
    from .bench.comparison import compare
    from .bench.comparison_page import picture_beside, write_report
    from .bench.comparison_plan import Ask

    picture_beside(output)  # a bad name is refused before anything slow
    work = compare(bundles, Ask(prompts, seed, steps, rounds, judge))
    with Progress(logs=True) as progress:

        def show(now: Doing) -> None:
            if now.done:
                progress.bar(now.done, now.total, now.label)
            else:
                progress.show(now.label)

        found = drive(work, show)
        progress.show("writing the report")
        files = write_report(found, output)
    if as_json:
        click.echo(json.dumps({"files": [click.format_filename(file) for file in files], **_record(found)}))
        return
    from .bench.comparison_table import figures, notes, parts

    tables = [table(cells.rows, cells.header) for cells in (figures(found), parts(found))]
    click.echo("\n\n".join([*tables, "\n".join(notes(found)), "\n".join(map(click.format_filename, files))]))


def _record(found: Comparison) -> dict[str, Any]:
    """All figures, without the pictures."""
    from .runtime.record import to_table

    made: dict[str, Any] = to_table(replace(found, pictures=()))
    del made["pictures"]
    return {"reference": found.reference, **made}
