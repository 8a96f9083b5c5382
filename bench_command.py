"""`aquatint bench`: how fast bundles print, and what memory they take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .bench_options import Files, how_long, planned, what_else, what_is_printed, where_to, who_else
from .runtime.errors import BadRequest
from .terminal import Progress, drive, table

if TYPE_CHECKING:
    from .bench.timing.result import Result
    from .bench.timing.rounds import Doing


class BenchGroup(click.Group):
    """A group whose first word may be a bundle, which `run` takes."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        return super().resolve_command(ctx, args if args[0] in self.commands else ["run", *args])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        asks = not args or args[0] in ctx.help_option_names or args[0] in self.commands
        return super().parse_args(ctx, args if asks else ["run", *args])


@click.group("bench", cls=BenchGroup)
def bench_group() -> None:
    """Measure how fast bundles print, what memory they take, and how good their pictures are.

    \b
    aquatint bench out/demo                                        # one bundle
    aquatint bench out/demo out/int8 --quality --json a.json       # several, in turns
    aquatint bench out/demo --baseline diffusers:bf16 --html a.html  # against PyTorch
    aquatint bench compare a.json b.json --fail-over 5%            # in continuous integration
    """


@bench_group.command("run")
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@what_is_printed
@how_long
@who_else
@what_else
@where_to
def run_command(bundles: tuple[Path, ...], stages: bool, files: Files, **words: Any) -> None:
    """Print the same picture with every BUNDLE, in turns, until the medians are known.

    Each bundle has a process of its own; the first picture of each is not counted.  Ratios are to the first bundle, of
    pictures printed one after the other.  What fails is left out, and the command fails after the rest is shown.
    Ctrl-C ends it, and what was measured by then is shown and written.
    """
    from .bench.timing.machine import describe_machine
    from .bench.timing.measurement import measure
    from .bench.timing.result import FORMAT, Result

    files.check()
    orders, calls, wish = planned(bundles, words)
    machine = describe_machine()
    with Progress(logs=False) as progress:

        def show(doing: Doing) -> None:
            if doing.done:
                progress.bar(doing.done, doing.total, doing.label, "round")
            else:
                progress.show(doing.label)

        run = drive(measure(orders, calls, wish), show)
    result = Result(FORMAT, machine, wish.patience, run)
    _show(result, stages, files)
    if failed := [measured.order.name for measured in run.subjects if measured.failed]:
        raise BadRequest(f"not measured to the end: {', '.join(failed)}")


@bench_group.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--stages", is_flag=True, help="Show every stage of every bundle.")
@where_to
def show_command(file: Path, stages: bool, files: Files) -> None:
    """Show a result of `aquatint bench --json` again, or write it as a page, a picture or a table of samples."""
    from .bench.timing.result import read_result

    files.check()
    _show(read_result(file), stages, files)


@bench_group.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of what `aquatint bench --json` writes."""
    from .bench.timing.result import Result
    from .bench.timing.schema import schema_of

    click.echo(json.dumps(schema_of(Result), indent=1))


@bench_group.command("compare")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--fail-over", default="5%", show_default=True, help="Fail where a stage is surely slower by more.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def compare_command(old: Path, new: Path, fail_over: str, as_json: bool) -> None:
    """Compare two results of `aquatint bench --json`, bundle by bundle in their order; for continuous integration.

    It fails where it is sure, by a rank test at 1 % over all stages, that one is slower by more than that; and where it
    can't tell, for want of samples or of the stage.  --fail-over must be more than two runs of the same code differ by.
    """
    from .bench.timing.difference import judge
    from .bench.timing.result import read_result, stages
    from .bench.timing.summary import differences
    from .runtime.record import to_table

    over = _share(fail_over)
    before, after = (read_result(path).run for path in (old, new))
    if len(before.subjects) != len(after.subjects):
        raise BadRequest(
            f"{old} has {len(before.subjects)} subjects, {new} has {len(after.subjects)}; compare runs of the same ones"
        )
    if before.points[0].call != after.points[0].call:
        raise BadRequest(f"{old} printed {before.points[0].call}, {new} {after.points[0].call}; compare the same call")
    pairs = zip(before.points[0].series, after.points[0].series, strict=True)
    found = [judge(stages(a), stages(b), over) for a, b in pairs]
    if as_json:
        click.echo(json.dumps([to_table(judgement) for judgement in found], indent=1))
    else:
        names = [measured.order.name for measured in after.subjects]
        texts = [f"{name}\n{table(*differences(judgement))}" for name, judgement in zip(names, found, strict=True)]
        click.echo("\n\n".join(texts))
    unclear = [stage for judgement in found for stage in (*judgement.undecided, *judgement.only_old)]
    slower = [stage for judgement in found for stage in judgement.slower]
    if slower:
        raise BadRequest(f"slower by more than {fail_over}: {', '.join(slower)}")
    if unclear:
        raise BadRequest(f"too few samples, or gone in {new}: {', '.join(dict.fromkeys(unclear))}")


def _show(result: Result, stages: bool, files: Files) -> None:
    """As tables, and in files."""
    from .bench.timing.summary import foot, parts

    tables = list(parts(result, stages))
    files.write(result, tables)
    for part in tables:
        note = f"{part.note}\n" if part.note else ""
        click.echo(f"{part.title}\n{table(part.rows, part.head)}\n{note}")
    click.echo("\n".join(foot(result)))


def _share(text: str) -> float:
    """5%, 5 % or 0.05."""
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError as reason:
        raise BadRequest(f"--fail-over is {text!r}; it must be a share such as 5%") from reason
