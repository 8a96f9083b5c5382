"""What a model is compiled from and with, as options that several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .runtime.errors import MissingPackage

if TYPE_CHECKING:
    from .compile.checkpoint import Checkpoint
    from .profiles.profile import Profile

Command = TypeVar("Command", bound=Callable[..., Any])

CACHE = click.option(
    "--cache", type=click.Path(path_type=Path), envvar="AQUATINT_CACHE", help="Folder for finished pieces of compiles."
)
_OPTIONS = (
    click.option("-t", "--target", default="auto", show_default=True, help="As `aquatint targets` lists them."),
    click.option(
        "-p", "--profile", "profile_name", default="balanced", show_default=True, help="A name or a .toml file."
    ),
    click.option("--revision", help="Of a hub model: a branch, tag or commit."),
    click.option(
        "--variant", help="Of the weight files, such as fp16.  [default: the plain files, or the only variant]"
    ),
    click.option("--config", help="For a single file: folder or hub id of a model of the same kind."),
    click.option(
        "--lora",
        "loras",
        metavar="FILE[:SCALE]",
        multiple=True,
        help="A LoRA, which changes what the model paints (a style, a person, fewer steps), merged into its weights "
        "for good; a .safetensors file.  SCALE says how strongly, such as style.safetensors:0.8 (1 where it is left "
        "out).  Repeat the option for several; a file with a tensor that fits nowhere is refused.",
    ),
    click.option(
        "--embedding",
        "embeddings",
        metavar="FILE[:TOKEN]",
        multiple=True,
        help="A textual inversion: a new word that prompts for this bundle may then use; a .safetensors file.  TOKEN "
        "is the word, such as cat.safetensors:<cat-toy> (the one in the file, or the file's name, where it is left "
        "out).  Repeat the option for several.",
    ),
    click.option(
        "--calibration",
        metavar="FILE",
        help="What int8 and int4 are calibrated with, in place of the built-in prompts: a prompt in each line, or a "
        'JSON object such as {"prompt": "a red barn", "image": "barn.png", "strength": 0.6}; pictures lie beside the '
        "file.",
    ),
    click.option(
        "--budget",
        metavar="DB|WORDS",
        help="What may be lost, in place of the profile's quality budget: the least PSNR of golden images against "
        "the checkpoint's own, such as 30, or psnr=30,ssim=0.9,latent=0.1,judge=4 or some of these.  latent: distance "
        "as the VAE sees it; judge: prompts of 200, demo model only.  Components may then differ more.",
    ),
    CACHE,
)


@dataclass(frozen=True)
class Asked:
    """What the options came to.  work: the cache's folder."""

    checkpoint: Checkpoint
    profile: Profile
    target: str
    work: Path


def model_options(command: Command) -> Command:
    """MODEL and the options that say how it is compiled; the command takes them as `**words`, for `read_model`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return click.argument("model")(command)


def read_model(words: dict[str, Any], quantize: str | None = None) -> Asked:
    """Find the checkpoint, and give the profile what the options say.  words: what `model_options` collected.

    quantize: schemes in place of the profile's.  Raises Error for whatever can't be.
    """
    from .profiles.budget import read_budget
    from .profiles.profile import read_profile

    profile = read_profile(words["profile_name"])
    if words["budget"] is not None:
        profile = replace(profile, budget=read_budget(words["budget"]))
    if words["calibration"] is not None:
        profile = replace(profile, calibration=replace(profile.calibration, prompts=words["calibration"]))
    _require_compiler()
    from .compile.checkpoint import find_checkpoint
    from .compile.quantized import read_schemes

    if quantize is not None:
        profile = replace(profile, quantize=read_schemes(quantize), rules=())
    work = words["cache"] or default_cache()
    named = {name: words[name] for name in ("revision", "variant", "config", "loras", "embeddings")}
    return Asked(find_checkpoint(words["model"], work=work, **named), profile, words["target"], work)


def default_cache() -> Path:
    """Where pieces of compiles are kept, as the XDG base directories say."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aquatint"


def _require_compiler() -> None:
    missing = [name for name in ("torch", "diffusers", "transformers", "onnx_ir") if find_spec(name) is None]
    if missing:
        raise MissingPackage(f'compile needs {", ".join(missing)}; pip install "aquatint[compile]"')
