"""The command line: reads words, calls the part that does the work, prints what came of it."""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import __version__
from .run_options import RunCommand, run_options
from .runtime.errors import Error
from .terminal import Progress, size_text, table

if TYPE_CHECKING:
    from .compile.plan import Plan

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
CACHE = click.option(
    "--cache", type=click.Path(path_type=Path), envvar="AQUATINT_CACHE", help="Folder for finished pieces of compiles."
)
DEVICE = click.option("--device", help="Another device of the bundle's engine than it was built for, such as cpu.")
LOW_MEMORY = click.option(
    "--low-memory", is_flag=True, help="Keep one component in memory at a time; each is loaded again at every call."
)
THREADS = click.option("--threads", type=click.IntRange(1), help="Threads of a CPU.  [default: the engine's choice]")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="aquatint")
def cli() -> None:
    """Compile a diffusion image model once, then print images from it without PyTorch.

    \b
    aquatint compile demo -o demo-bundle
    aquatint run demo-bundle "a large red circle on a white background" -o circle.png
    """


@cli.command("compile")
@click.argument("model")
@click.option("-t", "--target", default="auto", show_default=True, help="As `aquatint targets` lists them.")
@click.option("-p", "--profile", "profile_name", default="balanced", show_default=True, help="A name or a .toml file.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The bundle's folder.  [default: MODEL-TARGET]")
@click.option("--prompt", "prompts", multiple=True, help="What a golden image shows; may be repeated.")
@click.option("--revision", help="Of a hub model: a branch, tag or commit.")
@click.option("--variant", help="Of the weight files, such as fp16.  [default: the plain files, or the only variant]")
@click.option("--config", help="For a single file: folder or hub id of a model of the same kind.")
@click.option(
    "--lora",
    "loras",
    metavar="FILE[:SCALE]",
    multiple=True,
    help="A LoRA, which changes what the model paints (a style, a person, fewer steps), merged into its weights for "
    "good; a .safetensors file.  SCALE says how strongly, such as style.safetensors:0.8 (1 where it is left out).  "
    "Repeat the option for several; a file with a tensor that fits nowhere is refused.",
)
@click.option(
    "--embedding", "embeddings", metavar="FILE[:TOKEN]", multiple=True,
    help="A textual inversion: a new word that prompts for this bundle may then use; a .safetensors file.  TOKEN is "
    "the word, such as cat.safetensors:<cat-toy> (the one in the file, or the file's name, where it is left out).  "
    "Repeat the option for several.",
)  # fmt: skip
@click.option(
    "--quantize",
    metavar="SCHEME",
    help="Store weights in fewer bits: int8-weights or int4 for every component, or COMPONENT=SCHEME,... for some.  "
    "[default: the profile's]",
)
@click.option(
    "--budget",
    type=float,
    metavar="DB",
    help="How close golden images must come to the checkpoint's own, in place of the profile's quality budget: their "
    "PSNR, such as 30.  Components may then differ more.",
)
@click.option("--require-device", is_flag=True, help="Refuse where the target's device is not here to verify on.")
@click.option("--dry-run", is_flag=True, help="Print the plan and stop.")
@click.option("-q", "--quiet", is_flag=True, help="No plan and no log lines.")
@CACHE
@JSON
def compile_command(
    model: str,
    target: str,
    profile_name: str,
    output: Path | None,
    prompts: tuple[str, ...],
    revision: str | None,
    variant: str | None,
    config: str | None,
    loras: tuple[str, ...],
    embeddings: tuple[str, ...],
    quantize: str | None,
    budget: float | None,
    require_device: bool,
    dry_run: bool,
    quiet: bool,
    cache: Path | None,
    as_json: bool,
) -> None:
    """Compile MODEL into a verified bundle.

    MODEL is `demo`, a Diffusers folder, a hub id, a .safetensors file, or a folder that Optimum exported to ONNX.
    A result under the profile's quality budget fails and leaves no bundle.
    """
    from .profiles.profile import LARGEST_ERROR, Budget, read_profile

    profile = read_profile(profile_name)
    if budget is not None:
        profile = replace(profile, budget=Budget(LARGEST_ERROR, budget))
    _require_compiler()
    from .compile.cache import Cache
    from .compile.checkpoint import find_checkpoint
    from .compile.driver import compile_bundle
    from .compile.plan import make_plan
    from .compile.quantized import read_schemes

    if quantize is not None:
        profile = replace(profile, quantize=read_schemes(quantize), rules=())
    work = cache or default_cache()
    checkpoint = find_checkpoint(
        model, revision=revision, variant=variant, config=config, work=work, loras=loras, embeddings=embeddings
    )
    plan = make_plan(checkpoint, target, profile, output=output, prompts=prompts, require_device=require_device)
    if not quiet or dry_run:
        click.echo(_plan_text(plan), err=not dry_run or as_json)
    if dry_run:
        return
    with Progress(logs=not quiet) as progress:
        stages = compile_bundle(plan, Cache(work))
        while True:
            try:
                stage = next(stages)
            except StopIteration as stop:
                folder: Path = stop.value
                break
            progress.show(f"[{stage.index + 1}/{stage.total}] {stage.label}")
    if as_json:
        click.echo((folder / "manifest.json").read_text(encoding="utf-8"), nl=False)
    else:
        click.echo(folder)


@cli.command("run", cls=RunCommand, params=run_options())
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.argument("prompt", required=False)
@DEVICE
@THREADS
@LOW_MEMORY
@JSON
def run_command(
    bundle: Path | None,
    prompt: str | None,
    output: Path | None,
    like: Path | None,
    device: str | None,
    threads: int | None,
    low_memory: bool,
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
    from .runtime.bundle import open_bundle, pipeline_of
    from .runtime.denoise import Step
    from .runtime.pipeline import finish
    from .runtime.session import EngineOptions

    asked = {name: value for name, value in words.items() if value is not None}
    if like is not None:
        job = plan_like(like, bundle, prompt, asked, output)
    elif bundle is not None and prompt is not None:
        job = plan_job(bundle, prompt, asked, output)
    else:
        raise click.UsageError("give BUNDLE and PROMPT, or --like and a picture to make again")
    _say(*job.notes)
    options = EngineOptions(threads, "one" if low_memory else "all")
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
@DEVICE
@THREADS
@LOW_MEMORY
@JSON
def verify_command(bundle: Path, device: str | None, threads: int | None, low_memory: bool, as_json: bool) -> None:
    """Check every file's hash, then print BUNDLE's golden images on this machine and compare."""
    from .runtime.bundle import open_bundle
    from .runtime.goldens import print_goldens
    from .runtime.session import EngineOptions

    options = EngineOptions(threads, "one" if low_memory else "all")
    opened = open_bundle(bundle, device=device, hashes=True, options=options)
    with Progress(logs=False) as progress:
        progress.show("printing the golden images")
        found = print_goldens(opened)
    least = opened.manifest.verification.min_psnr_db
    if as_json:
        pictures = [{"prompt": g.prompt, "seed": g.seed, "psnr_db": g.psnr_db, "min_psnr_db": least} for g in found]
        click.echo(json.dumps({"target": str(opened.target), "goldens": pictures}, ensure_ascii=False))
    else:
        files = opened.manifest.files
        click.echo(f"{len(files)} files, {size_text(sum(f.size_bytes for f in files.values()))}: as the manifest says")
        rows = [(f"{g.psnr_db:.1f} dB", f"at least {least:.0f}", g.prompt) for g in found]
        click.echo(f"golden images on {opened.target}:\n{table(rows)}")


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
    from .inspection import describe_targets

    rows = describe_targets()
    if as_json:
        click.echo(json.dumps(rows, indent=2))
    else:
        cells = [(r["target"], r["engine"], "yes" if r["here"] else "no", r["device"]) for r in rows]
        click.echo(table(cells, ("target", "engine", "runs here", "device")))


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


def default_cache() -> Path:
    """Where pieces of compiles are kept, as the XDG base directories say."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aquatint"


def _plan_text(plan: Plan) -> str:
    from .inspection import plan_text

    return plan_text(plan)


def _require_compiler() -> None:
    from importlib.util import find_spec

    from .runtime.errors import MissingPackage

    missing = [name for name in ("torch", "diffusers", "transformers", "onnx_ir") if find_spec(name) is None]
    if missing:
        raise MissingPackage(f'compile needs {", ".join(missing)}; pip install "aquatint[compile]"')


def _say(*lines: str) -> None:
    for line in lines:
        click.echo(f"aquatint: {line}", err=True)
