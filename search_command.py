"""`aquatint quantize search`: which layers take which scheme, within a quality budget."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .compile_options import model_options, read_model
from .terminal import Progress, drive, size_text, table

if TYPE_CHECKING:
    from .compile.search.driver import Candidate, Doing, Found


@click.command("search")
@model_options
@click.option(
    "--for", "objective", type=click.Choice(["time", "size"]), default="time", show_default=True,
    help="What is to be least within the budget: a denoising step's time on this machine, or the bundle.",
)  # fmt: skip
@click.option(
    "--component", "components", metavar="NAME", multiple=True,
    help="Whose layers are tried; repeat the option for several.  The others have the profile's schemes.  "
    "[default: unet]",
)  # fmt: skip
@click.option(
    "--scheme", "schemes", metavar="NAME", multiple=True,
    help="What layers may get; repeat the option for several.  [default: all that the target runs]",
)  # fmt: skip
@click.option(
    "--layers", "single", is_flag=True, help="Try every layer by itself, not block by block: finer, and much slower."
)
@click.option(
    "--candidates", type=click.IntRange(2), default=6, show_default=True,
    help="How many mixes are compiled and judged by their pictures.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), default=Path("searched.toml"),
    show_default=True, help="The profile that is written, for `aquatint compile -p`.",
)  # fmt: skip
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False),
    help="A PNG of all candidates, quality against time or size.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
def search_command(
    objective: Any,
    components: tuple[str, ...],
    schemes: tuple[str, ...],
    single: bool,
    candidates: int,
    output: Path,
    plot: Path | None,
    as_json: bool,
    **words: Any,
) -> None:
    """Find the fastest or smallest mix of schemes for MODEL that keeps the quality budget.

    Every block of layers is measured with every scheme: how far it moves the outputs in real denoising, and what it
    saves.  The best mixes are compiled, printed and compared like any bundle, and the best within the budget is written
    as a profile.  Stopped at any moment, the same command goes on where it was.

    \b
    aquatint quantize search demo --for size --budget 45 -o small-demo.toml
    aquatint compile demo -p small-demo.toml -o small-demo
    """
    asked = read_model(words)
    from .bench.front_plot import Point, check_plot, draw_front
    from .compile.cache import Cache
    from .compile.plan import make_plan
    from .compile.search.driver import Wishes, search
    from .profiles.write import check_place, write_profile

    check_place(output)
    if plot is not None:
        check_plot(plot)
    plan = make_plan(asked.checkpoint, asked.target, asked.profile, output=output.with_suffix(".bundle"))
    work = search(plan, Wishes(objective, components, schemes, single, candidates), Cache(asked.work))
    with Progress(logs=False) as progress:

        def show(now: Doing) -> None:
            if now.done:
                progress.bar(now.done, now.total, now.label, "part")
            else:
                progress.restart()
                progress.show(f"[1/{now.total}] {now.label}" if now.total else now.label)

        found = drive(work, show)
    chosen = found.chosen
    write_profile(chosen.profile, output, f"{objective} least for {plan.checkpoint.name} on {plan.target}")
    if plot is not None:
        points = [
            Point(
                candidate.name, candidate.outcome.time_ratio, candidate.outcome.size_bytes, candidate.outcome.psnr_db,
                not candidate.missed, candidate is chosen,
            )
            for candidate in found.candidates
        ]  # fmt: skip
        draw_front(points, objective, plot)
    if as_json:
        click.echo(json.dumps(_record(found), ensure_ascii=False))
        return
    rows = [_row(candidate, chosen) for candidate in found.candidates]
    click.echo(table(rows, ("", "mix", "step time", "bundle", "PSNR", "SSIM", "latent distance", "judge", "")))
    click.echo(f"\nstep time: of a denoiser's call, against the profile without quantization\n{output}")


def _row(candidate: Candidate, chosen: Candidate) -> tuple[str, ...]:
    outcome = candidate.outcome
    return (
        "->" if candidate is chosen else "",
        candidate.name,
        f"{outcome.time_ratio:.2f}",
        size_text(outcome.size_bytes),
        f"{outcome.psnr_db:.1f} dB",
        "" if outcome.ssim is None else f"{outcome.ssim:.4f}",
        "" if outcome.latent_distance is None else f"{outcome.latent_distance:.3f}",
        "" if outcome.lost is None else f"{outcome.lost} lost",
        candidate.missed,
    )


def _record(found: Found) -> dict[str, Any]:
    from .runtime.record import to_table

    made: dict[str, Any] = to_table(found)
    return {**made, "chosen": found.chosen.name}
