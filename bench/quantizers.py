"""Our quantizing beside NNCF's and bitsandbytes': error, size, time and memory, on one UNet in one run.

python -m aquatint.bench.quantizers demo
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import click

from ..runtime.record import to_table
from .quantizers_bitsandbytes import Likeness, compare_nf4
from .quantizers_job import Job, JobFailed, Made, start_job
from .quantizers_list import KINDS, NNCF, QUANTIZERS, Quantizer
from .quantizers_material import Material, find_material
from .quantizers_measure import Measured, measure, stepper

HEADER = "| by | settings | error | most | in 4 bits | in 8 bits | size | quantizing | memory | step |"
RULE = "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"


@dataclass(frozen=True)
class Row:
    """One quantizer and what was measured; or, in `reason`, why nothing was."""

    quantizer: Quantizer
    made: Made | None = None
    measured: Measured | None = None
    reason: str = ""


def compare(material: Material, quantizers: Sequence[Quantizer], repeats: int, folder: Path) -> Iterator[Row]:
    """A row for each quantizer, as it is done.  folder: empty; a graph at a time lies in it.

    Errors are of calls that calibrated nothing.  Steps are timed in turns with a float step.
    """
    from ..compile.cases import read_cases

    cases = list(read_cases(Path(material.held_out), material.component.name))
    (folder / "floats").mkdir()
    floats = stepper(Path(start_job(Job(material, None), folder / "floats").artifact), cases[0])
    for quantizer in quantizers:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            try:
                made = start_job(Job(material, quantizer), Path(place))
                measured = measure(Path(made.artifact), floats, cases, repeats)
                yield Row(quantizer, made, measured)
            except JobFailed as failure:
                yield Row(quantizer, reason=str(failure))


def markdown(rows: Sequence[Row]) -> str:
    """A table for each kind of quantizing."""
    parts = []
    for kind, title in KINDS.items():
        lines = [_line(row) for row in rows if row.quantizer.kind == kind]
        if lines:
            parts.append("\n".join([f"**{title}**", "", HEADER, RULE, *lines]))
    return "\n\n".join(parts)


def _line(row: Row) -> str:
    made, found = row.made, row.measured
    if made is None or found is None:
        cells = [f"fails: {row.reason}", *[""] * 7]
    else:
        cells = [
            f"{100 * found.error:.2f} %", f"{100 * found.error_max:.1f} %", f"{100 * found.four:.0f} %",
            f"{100 * found.eight:.0f} %", f"{found.size_bytes / 1e6:.2f} MB", f"{made.seconds:.1f} s",
            "-" if made.memory_bytes is None else f"{made.memory_bytes / 1e6:.0f} MB",
            f"{found.time:.2f} ({found.time_low:.2f} to {found.time_high:.2f})",
        ]  # fmt: skip
    return "| " + " | ".join([row.quantizer.maker, row.quantizer.label, *cells]) + " |"


def _sentence(likeness: Likeness) -> str:
    same = "every byte and every scale is the same" if likeness.same else "BYTES DIFFER"
    return (
        f"bitsandbytes {version('bitsandbytes')}: {likeness.layers} layers in nf4, {likeness.weights} weights; {same}; "
        f"{likeness.ours_s:.2f} s by us, {likeness.theirs_s:.2f} s by bitsandbytes."
    )


def _missing(package: str) -> bool:
    if find_spec(package) is not None:
        return False
    click.echo(f'quantizers: {package} is not here, its figures are left out; pip install "{package}"', err=True)
    return True


@click.command()
@click.argument("model")
@click.option(
    "--cache", type=click.Path(path_type=Path), help="Folder for graphs and recordings.  [default: none kept]"
)
@click.option("--only", metavar="KIND", multiple=True, type=click.Choice(list(KINDS)), help="May be repeated.")
@click.option("--slow", is_flag=True, help="With the quantizers that take minutes.")
@click.option("--repeats", type=click.IntRange(2), default=21, show_default=True, help="Pairs of steps that are timed.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def main(model: str, cache: Path | None, only: tuple[str, ...], slow: bool, repeats: int, as_json: bool) -> None:
    """Quantize the UNet of MODEL, `demo` or what `aquatint compile` takes, by every quantizer, and compare on this CPU.

    All of them get the same recorded calls, and are judged by others.
    """
    chosen = [found for found in QUANTIZERS if (slow or not found.slow) and found.kind in (only or KINDS)]
    if _missing("nncf"):
        chosen = [found for found in chosen if found.maker != NNCF]
    with tempfile.TemporaryDirectory() as work:
        material = find_material(model, cache or Path(work) / "cache")
        rows = []
        for row in compare(material, chosen, repeats, Path(tempfile.mkdtemp(dir=work))):
            click.echo(_line(row), err=True)
            rows.append(row)
        likeness = None if _missing("bitsandbytes") else compare_nf4(material.graph)
    if as_json:
        click.echo(json.dumps({"rows": to_table(rows), "bitsandbytes": to_table(likeness)}))
        return
    click.echo(markdown(rows))
    if likeness is not None:
        click.echo(f"\n{_sentence(likeness)}")


if __name__ == "__main__":
    main()
