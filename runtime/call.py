"""A call of a pipeline in its parts: what is shown, from what, with which noise, on which way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .framing import Framing
from .request import Request
from .source import Source


@dataclass(frozen=True)
class Texts:
    """What each picture shows.

    prompts, negatives: of each text encoder in turn, one for each prompt; a negative is None where none was given.
    clip_skip: None for the encoders' usual layer.  chunked: long texts are encoded in pieces instead of being cut.
    """

    prompts: tuple[tuple[str, ...], ...]
    negatives: tuple[tuple[str | None, ...], ...]
    copies: int
    clip_skip: int | None
    chunked: bool

    @property
    def images(self) -> int:
        """How many pictures the call makes."""
        return len(self.prompts[0]) * self.copies


@dataclass(frozen=True)
class Noise:
    """Where the noise comes from.  seeds: one for all images, or one for each.  first: given unit noise, or None."""

    seeds: tuple[int, ...]
    generator: str
    dtype: type[np.floating]
    first: np.ndarray | None


@dataclass(frozen=True)
class Schedule:
    """The way from noise to picture.

    scheduler: another than the bundle's, or None.  timesteps, sigmas: the caller's own, or None.
    start, end: shares of the training steps, where the run starts and stops, or None.
    """

    steps: int
    scheduler: str | Mapping[str, Any] | None
    timesteps: tuple[float, ...] | None
    sigmas: tuple[float, ...] | None
    eta: float
    start: float | None
    end: float | None


@dataclass(frozen=True)
class Call:
    """What a pipeline does.

    height, width: pixels.  latent_shape: (images, channels, height / factor, width / factor).
    framing, negative_framing: of the prompt and of the negative prompt.
    request: the same in the caller's words, with defaults filled in.
    """

    texts: Texts
    source: Source
    height: int
    width: int
    latent_shape: tuple[int, ...]
    noise: Noise
    schedule: Schedule
    guidance_scale: float
    guidance_rescale: float
    framing: Framing
    negative_framing: Framing
    output_type: str
    vae_tiling: bool
    request: Request

    @property
    def images(self) -> int:
        """How many pictures the call makes."""
        return self.texts.images
