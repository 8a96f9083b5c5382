"""The command line: reads words, calls the part that does the work, prints what came of it."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .bench_command import bench_group
from .compile_options import CACHE, default_cache, model_options, read_model
from .engine_options import engine_options, read_engine_options
from .quantize_commands import quantize_group
from .run_options import RunCommand, run_options
from .runtime.errors import Error
from .terminal import Progress, drive, size_text, table

if TYPE_CHECKING:
    from .compile.plan import Plan

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="aquatint")
def cli() -> None:
    """Compile a diffusion image model once, then print images from it without PyTorch.

    \b
    aquatint compile demo -o demo-bundle
    aquatint run demo-bundle "a large red circle on a white background" -o circle.png
    """


@cli.command("compile")
@model_options
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The bundle's folder.  [default: MODEL-TARGET]")
@click.option("--prompt", "prompts", multiple=True, help="What a golden image shows; may be repeated.")
@click.option(
    "--quantize",
    metavar="SCHEME",
    help="Compute or store in fewer bits: int8-weights, int8, int4 or nf4 for every component, or "
    "COMPONENT=SCHEME,... for some.  [default: the profile's]",
)
@click.option("--require-device", is_flag=True, help="Refuse where the target's device is not here to verify on.")
@click.option(
    "--build-on-device",
    is_flag=True,
    help="For tensorrt: the bundle carries ONNX, and each machine builds its own engines of it, at its first load or "
    "by `aquatint build`, and verifies them.",
)
@click.option(
    "--portable",
    is_flag=True,
    help="For tensorrt: engines for every GPU from Ampere on, not only this one's kind; slower.",
)
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("-q", "--quiet", is_flag=True, help="No plan and no log lines.")
@JSON
def compile_command(
    output: Path | None,
    prompts: tuple[str, ...],
    quantize: str | None,
    require_device: bool,
    build_on_device: bool,
    portable: bool,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **words: Any,
) -> None:
    """Compile MODEL into a verified bundle.

    MODEL is `demo`, a Diffusers folder, a hub id, a .safetensors file, or a folder that Optimum exported to ONNX.
    A result under the profile's quality budget fails and leaves no bundle.
    """
    asked = read_model(words, quantize)
    from .compile.cache import Cache
    from .compile.driver import compile_bundle
    from .compile.plan import make_plan
    from .targets import widest

    plan = make_plan(
        asked.checkpoint,
        widest(asked.target) if portable else asked.target,
        asked.profile,
        output=output,
        prompts=prompts,
        require_device=require_device,
        on_device=build_on_device,
    )
    if not quiet or dry_run:
        click.echo(_plan_text(plan), err=not dry_run or as_json)
    if dry_run:
        return
    with Progress(logs=not quiet) as progress:
        folder = drive(
            compile_bundle(plan, Cache(asked.work), lambda step: progress.step(step.done, step.total, step.phase)),
            lambda stage: progress.show(f"[{stage.index + 1}/{stage.total}] {stage.label}"),
        )
    if as_json:
        click.echo((folder / "manifest.json").read_text(encoding="utf-8"), nl=False)
    else:
        click.echo(folder)


@cli.command("run", cls=RunCommand, params=run_options())
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.argument("prompt", required=False)
@engine_options
@JSON
def run_command(
    bundle: Path | None,
    prompt: str | None,
    output: Path | None,
    like: Path | None,
    as_json: bool,
    **words: Any,
) -> None:
    """Print a picture of PROMPT from BUNDLE.

    \b
    aquatint run demo-bundle "a large red circle on a white background" -o circle.png
    aquatint run demo-bundle "a blue star" --image circle.png --strength 0.7 -o star.png
    aquatint run --like star.png --seed 5
    """
    from .run import plan_job, plan_like
    from .runtime.building import build_engines
    from .runtime.bundle import open_bundle, pipeline_of
    from .runtime.denoise import Step
    from .runtime.pipeline import finish

    device, options = read_engine_options(words)
    asked = {name: value for name, value in words.items() if value is not None}
    if like is not None:
        job = plan_like(like, bundle, prompt, asked, output)
    elif bundle is not None and prompt is not None:
        job = plan_job(bundle, prompt, asked, output)
    else:
        raise click.UsageError("give BUNDLE and PROMPT, or --like and a picture to make again")
    _say(*job.notes)
    opened = open_bundle(job.bundle, device=device, options=options)
    if job.target not in (None, str(opened.target)):
        _say(f"{like} was made on another target, and this is {opened.target}; the picture may differ")
    pipe = pipeline_of(opened)
    printing = pipe.generate(**job.arguments())
    with Progress(logs=False) as progress:

        def show(step: Step) -> bool:
            last = step.index + 1 in (step.total, job.stopped_after)
            if last:
                progress.show("decoding")
            else:
                progress.bar(step.index + 1, step.total, "denoising")
            return last

        drive(build_engines(opened), lambda step: progress.step(step.done, step.total, step.phase))
        progress.show("loading the engines")
        pipe.prepare()
        progress.restart()
        made = finish(printing, show)
    _say(*made.notes)
    files = [click.format_filename(file) for file in job.write(made)]
    if as_json:
        found = {"images": files, "notes": made.notes, **job.record(made)}
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        click.echo("\n".join(files))


@cli.command("verify")
@click.argument("bundle", type=click.Path(path_type=Path))
@engine_options
@JSON
def verify_command(bundle: Path, as_json: bool, **words: Any) -> None:
    """Check every file's hash, then print BUNDLE's golden images on this machine and compare."""
    from .runtime.building import build_engines
    from .runtime.bundle import open_bundle
    from .runtime.goldens import print_goldens

    device, options = read_engine_options(words)
    opened = open_bundle(bundle, device=device, hashes=True, options=options)
    with Progress(logs=False) as progress:
        drive(build_engines(opened), lambda step: progress.step(step.done, step.total, step.phase))
        progress.show("printing the golden images")
        found = print_goldens(opened)
    asked = opened.manifest.verification
    if as_json:
        bounds = {
            "min_psnr_db": asked.min_psnr_db,
            "min_ssim": asked.min_ssim,
            "max_latent_distance": asked.max_latent_distance,
        }
        figures = ("prompt", "seed", "psnr_db", "ssim", "latent_distance")
        pictures = [{**{name: getattr(golden, name) for name in figures}, **bounds} for golden in found]
        click.echo(json.dumps({"target": str(opened.target), "goldens": pictures}, ensure_ascii=False))
    else:
        files = opened.manifest.files
        click.echo(f"{len(files)} files, {size_text(sum(f.size_bytes for f in files.values()))}: as the manifest says")
        least = (
            "asked",
            _figure(asked.min_psnr_db, " dB"),
            _figure(asked.min_ssim),
            _figure(asked.max_latent_distance),
        )
        rows = [(g.prompt, _figure(g.psnr_db, " dB"), _figure(g.ssim), _figure(g.latent_distance)) for g in found]
        click.echo(f"on {opened.target}\n{table([*rows, least], ('golden image', 'PSNR', 'SSIM', 'latent distance'))}")


@cli.command("build")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("-q", "--quiet", is_flag=True, help="No log lines.")
@JSON
def build_command(bundle: Path, quiet: bool, as_json: bool) -> None:
    """Build this machine's own engines of BUNDLE, which was compiled with --build-on-device, and verify them.

    They are kept beside the bundle.  The first run would do the same; here it can be done ahead.
    """
    from .runtime.building import build_engines
    from .runtime.bundle import open_bundle

    opened = open_bundle(bundle, hashes=True)
    if opened.builder is None:
        raise click.UsageError(f"{bundle} has nothing to build: its artifacts run on {opened.target} as they are")
    with Progress(logs=not quiet) as progress:
        goldens = drive(build_engines(opened), lambda step: progress.step(step.done, step.total, step.phase))
    if as_json:
        found = [{"prompt": golden.prompt, "seed": golden.seed, "psnr_db": golden.psnr_db} for golden in goldens]
        click.echo(json.dumps({"target": str(opened.target), "built": bool(goldens), "goldens": found}))
        return
    if not goldens:
        click.echo("built and verified before")
    for golden in goldens:
        click.echo(f"{_figure(golden.psnr_db, ' dB')}  {golden.prompt}")


@cli.command("inspect")
@click.argument("bundle", type=click.Path(path_type=Path))
@JSON
def inspect_command(bundle: Path, as_json: bool) -> None:
    """Show what BUNDLE is, what it needs, and how good it was measured to be."""
    from .runtime.manifest import read_manifest
    from .runtime.record import to_table

    manifest = read_manifest(bundle)
    if as_json:
        click.echo(json.dumps(to_table(manifest), indent=2, ensure_ascii=False))
        return
    from .inspection import manifest_text

    click.echo(manifest_text(manifest))


@cli.command("targets")
@JSON
def targets_command(as_json: bool) -> None:
    """List the targets: what can be built for, and what this machine can run."""
    from .catalogue import describe_targets, targets_text

    rows = describe_targets()
    click.echo(json.dumps(rows, indent=2) if as_json else targets_text(rows))


@cli.command("profiles")
@JSON
def profiles_command(as_json: bool) -> None:
    """List the shipped profiles."""
    from .profiles.profile import names, read_profile
    from .runtime.record import to_table

    profiles = [read_profile(name) for name in names()]
    if as_json:
        click.echo(json.dumps([to_table(profile) for profile in profiles], indent=2))
    else:
        cells = [(p.name, p.precision["default"], f"{p.budget.psnr_db:.0f} dB", p.description) for p in profiles]
        click.echo(table(cells, ("profile", "precision", "at least", "what it is for")))


@cli.command("cache")
@click.option("--prune", is_flag=True, help="Remove entries, and what killed compiles left.")
@click.option("--older-than", type=float, default=0, show_default=True, help="Days since the last use, for --prune.")
@CACHE
@JSON
def cache_command(prune: bool, older_than: float, cache: Path | None, as_json: bool) -> None:
    """Show or prune the finished pieces that compiles keep."""
    from .compile.cache import Cache

    store = Cache(cache or default_cache())
    if prune:
        freed = store.prune(older_than)
        click.echo(json.dumps({"freed_bytes": freed}) if as_json else f"freed {size_text(freed)} in {store.root}")
        return
    entries = list(store.entries())
    if as_json:
        rows = [{"kind": e.kind, "label": e.label, "size_bytes": e.size_bytes, "path": str(e.path)} for e in entries]
        click.echo(json.dumps(rows, indent=2))
    else:
        cells = [(entry.kind, size_text(entry.size_bytes), entry.label) for entry in entries]
        total = size_text(sum(entry.size_bytes for entry in entries))
        click.echo("\n".join(filter(None, (table(cells), f"{len(entries)} entries, {total} in {store.root}"))))


cli.add_command(bench_group)
cli.add_command(quantize_group)


def main() -> None:
    """The console script: an Error is one line and exit code 1; anything else is a bug and keeps its traceback."""
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(wrong.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("aquatint: stopped", err=True)
        sys.exit(130)
    except Error as wrong:
        click.echo(f"aquatint: {wrong}", err=True)
        sys.exit(1)
    except MemoryError as wrong:
        click.echo(f"aquatint: not enough memory: {wrong}", err=True)
        sys.exit(1)
    except OSError as wrong:
        if wrong.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        name = wrong.filename2 or wrong.filename or "a file"
        click.echo(f"aquatint: can't write {name}: {wrong.strerror}; nothing was left half done", err=True)
        sys.exit(1)


def _plan_text(plan: Plan) -> str:
    from .inspection import plan_text

    return plan_text(plan)


def _figure(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{value:.4g}{unit}"


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(f"aquatint: {line}", err=True)
