"""`aquatint bench`: how fast bundles print, and what memory they take."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .runtime.errors import BadRequest
from .terminal import Progress, drive, table

if TYPE_CHECKING:
    from .bench.timing.result import Result
    from .bench.timing.worker import Order

PROMPT = "a large red circle on a white background"


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
    """Measure how fast bundles print, and what memory they take.

    \b
    aquatint bench out/demo                        # one bundle
    aquatint bench out/demo out/int8 --json a.json # several, in turns
    aquatint bench compare a.json b.json --fail-over 5%
    """


@bench_group.command("run")
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--prompt", default=PROMPT, show_default=True, help="Of every picture.")
@click.option("--steps", type=click.IntRange(3), default=10, show_default=True, help="Denoising steps of a picture.")
@click.option("--guidance-scale", type=float, help="[default: the first bundle's]")
@click.option("--seed", default=0, show_default=True, help="Of every picture.")
@click.option("--least", type=click.IntRange(1), default=5, show_default=True, help="Pictures of each bundle.")
@click.option("--most", type=click.IntRange(1), default=30, show_default=True, help="After which it ends anyhow.")
@click.option(
    "--spread", type=float, default=2.0, show_default=True, help="Per cent of itself to which a median is to be known."
)
@click.option("--device", help="Another device of the bundles' engine than they were built for, such as cpu.")
@click.option("--threads", type=click.IntRange(1), help="Threads of a CPU.  [default: the engine's choice]")
@click.option("--stages", is_flag=True, help="Show every stage of every bundle.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write everything there.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), help="Write every sample there.")
def run_command(
    bundles: tuple[Path, ...],
    least: int,
    most: int,
    spread: float,
    stages: bool,
    json_file: Path | None,
    csv_file: Path | None,
    **words: Any,
) -> None:
    """Print the same picture with every BUNDLE, in turns, until the medians are known.

    Each bundle has a process of its own; the first picture of each is not counted.  Ratios are to the first bundle, of
    pictures printed one after the other.  Ctrl-C ends it, and what was measured by then is shown and written.
    """
    from .bench.timing.machine import describe_machine
    from .bench.timing.result import FORMAT, Result, csv_text, write_result
    from .bench.timing.rounds import Doing, Patience, measure
    from .runtime.pixels import write_whole

    try:
        patience = Patience(spread / 100, least, max(least, most))
    except ValueError as reason:
        raise BadRequest(str(reason)) from reason
    orders = _orders(bundles, words)
    machine = describe_machine()
    with Progress(logs=False) as progress:

        def show(doing: Doing) -> None:
            if doing.done:
                progress.bar(doing.done, doing.total, doing.label, "round")
            else:
                progress.show(doing.label)

        run = drive(measure(orders, patience), show)
    result = Result(FORMAT, machine, orders, patience, run)
    if json_file is not None:
        write_result(result, json_file)
    if csv_file is not None:
        text = csv_text(result)
        write_whole(csv_file, lambda file: file.write_text(text, encoding="utf-8"))
    click.echo(_text(result, stages))


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
    before, after = (read_result(path).run.subjects for path in (old, new))
    if len(before) != len(after):
        raise BadRequest(f"{old} has {len(before)} bundles, {new} has {len(after)}; compare runs of the same ones")
    found = [judge(stages(a), stages(b), over) for a, b in zip(before, after, strict=True)]
    if as_json:
        click.echo(json.dumps([to_table(judgement) for judgement in found], indent=1))
    else:
        texts = [f"{b.bundle}\n{table(*differences(judgement))}" for b, judgement in zip(after, found, strict=True)]
        click.echo("\n\n".join(texts))
    unclear = [stage for judgement in found for stage in (*judgement.undecided, *judgement.only_old)]
    slower = [stage for judgement in found for stage in judgement.slower]
    if slower:
        raise BadRequest(f"slower by more than {fail_over}: {', '.join(slower)}")
    if unclear:
        raise BadRequest(f"too few samples, or gone in {new}: {', '.join(dict.fromkeys(unclear))}")


def _orders(bundles: tuple[Path, ...], words: dict[str, Any]) -> tuple[Order, ...]:
    from .bench.comparison_trial import Job
    from .bench.timing.worker import Order
    from .runtime.manifest import read_manifest

    usual = read_manifest(bundles[0]).defaults
    scale = usual.guidance_scale if words["guidance_scale"] is None else words["guidance_scale"]
    return tuple(
        Order(
            Job(str(bundle), (words["prompt"],), words["seed"], words["steps"], scale, usual.scheduler),
            words["device"],
            words["threads"],
        )
        for bundle in bundles
    )


def _text(result: Result, every_stage: bool) -> str:
    from .bench.timing.summary import breakdown, foot, overview

    texts = [table(*overview(result))]
    if every_stage:
        texts += [f"{measured.bundle}\n{table(*breakdown(measured))}" for measured in result.run.subjects]
    return "\n\n".join([*texts, "\n".join(foot(result))])


def _share(text: str) -> float:
    """5%, 5 % or 0.05."""
    try:
        return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
    except ValueError as reason:
        raise BadRequest(f"--fail-over is {text!r}; it must be a share such as 5%") from reason
