"""What a PNG says of how it was made: written by `aquatint run`, read by its --like."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .runtime.bundle import sha256_of
from .runtime.errors import BadRequest
from .runtime.pixels import read_settings
from .runtime.record import from_table
from .runtime.request import ARRAYS, Request

FORMAT = 1
SHOWN = 240  # of a message that quotes a stranger's file

Texts = str | tuple[str, ...]
Size = tuple[int, int]


@dataclass(frozen=True)
class Input:
    """A file that a run read.  path: as it was given."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Record:
    """What a PNG may say, and of which type; the values are checked where they are used.

    The fields of Request, with files in place of arrays, and: bundle, the folder as it was given; manifest_sha256, of
    its manifest; index, which of its batch the picture was; stopped_after, how many steps were done.
    """

    prompt: Texts
    format: int = FORMAT
    bundle: str | None = None
    manifest_sha256: str | None = None
    model: str | None = None
    target: str | None = None
    profile: str | None = None
    approximations: tuple[str, ...] = ()
    index: int | None = None
    stopped_after: int | None = None

    image: Input | None = None
    mask_image: Input | None = None
    latents: Input | None = None

    negative_prompt: Texts | None = None
    prompt_2: Texts | None = None
    negative_prompt_2: Texts | None = None
    clip_skip: int | None = None
    long_prompt: str | None = None
    strength: float | None = None
    padding_mask_crop: int | None = None
    height: int | None = None
    width: int | None = None
    num_images_per_prompt: int | None = None
    seed: int | tuple[int, ...] | None = None
    generator: str | None = None
    noise_dtype: str | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    guidance_rescale: float | None = None
    scheduler: str | dict[str, Any] | None = None
    timesteps: tuple[float, ...] | None = None
    sigmas: tuple[float, ...] | None = None
    eta: float | None = None
    denoising_start: float | None = None
    denoising_end: float | None = None
    original_size: Size | None = None
    crops_coords_top_left: Size | None = None
    target_size: Size | None = None
    negative_original_size: Size | None = None
    negative_crops_coords_top_left: Size | None = None
    negative_target_size: Size | None = None
    aesthetic_score: float | None = None
    negative_aesthetic_score: float | None = None
    output_type: str | None = None
    vae_tiling: bool | None = None

    def request(self) -> dict[str, Any]:
        """The arguments of the call that it has, but for arrays."""
        names = [field.name for field in fields(Request) if field.name not in ARRAYS]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def inputs(self) -> dict[str, Input]:
        """The files that stand for arrays, by the name of the argument."""
        return {name: getattr(self, name) for name in ARRAYS if getattr(self, name) is not None}


def read_record(path: Path) -> Record:
    """The record of a PNG, which may be a stranger's; opens no other file.

    Raises BadRequest, in one line: no PNG, no record, a later format's, unknown keys or values of another type.
    """
    table = read_settings(path)
    version = table.get("format", FORMAT) if isinstance(table, Mapping) else FORMAT
    if isinstance(version, int) and version > FORMAT:
        raise BadRequest(f"{path} was made by a later aquatint (format {version}, this one reads {FORMAT}); install it")
    try:
        return from_table(Record, table, f"the record in {path}", BadRequest)
    except BadRequest as reason:
        raise BadRequest(printable(str(reason))) from reason


def check_input(kept: Input, name: str) -> Input:
    """The same, once the file is what it was.  name: of the argument.  Raises BadRequest."""
    shown = printable(kept.path)
    if not os.path.isfile(kept.path):
        raise BadRequest(
            f"{shown}, which the picture was made from, is not here; bring it back, or name another {name}"
        )
    if hash_input(Path(kept.path)) != kept.sha256:
        raise BadRequest(f"{shown} has changed since the picture was made; bring it back, or name another {name}")
    return kept


def hash_input(path: Path) -> str:
    """The sha256 of a file that a run starts from.  Raises BadRequest where it can't be read."""
    try:
        return sha256_of(path)
    except OSError as reason:
        raise BadRequest(f"can't read {printable(str(path))}: {reason.strerror}") from reason


def printable(text: str) -> str:
    """A stranger's text as one line that a terminal may show."""
    clean = "".join(sign if sign.isprintable() else "?" for sign in text)
    return clean if len(clean) <= SHOWN else f"{clean[:SHOWN]} ..."
