"""A call of a pipeline: its arguments, named as Diffusers names them, checked before anything slow."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .errors import BadRequest
from .manifest import Manifest


@dataclass(frozen=True)
class Request:
    """What is to be printed; where a field is None, the bundle's default holds.

    height, width: pixels.  seed: as torch.Generator("cpu").manual_seed takes it, or one for each image; None draws one.
    scheduler: our name, Diffusers' class name, or a Diffusers configuration with `_class_name`.
    latents: (images, channels, height/8, width/8) unit noise, in place of the seed's first draw.
    """

    prompt: str | Sequence[str]
    negative_prompt: str | Sequence[str] | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    height: int | None = None
    width: int | None = None
    seed: int | Sequence[int] | None = None
    num_images_per_prompt: int = 1
    scheduler: str | Mapping[str, Any] | None = None
    latents: np.ndarray | None = None

    @property
    def prompts(self) -> list[str]:
        """One for each text that is encoded."""
        return [self.prompt] if isinstance(self.prompt, str) else list(self.prompt)

    @property
    def negatives(self) -> list[str | None]:
        """One for each prompt."""
        if self.negative_prompt is None or isinstance(self.negative_prompt, str):
            return [self.negative_prompt] * len(self.prompts)
        return list(self.negative_prompt)

    @property
    def images(self) -> int:
        """How many pictures the call makes."""
        return len(self.prompts) * self.num_images_per_prompt

    @property
    def seeds(self) -> list[int]:
        """One for the whole batch, or one for each image."""
        if self.seed is None:
            raise ValueError("the request has no seed yet; complete() draws one")
        return [self.seed] if isinstance(self.seed, int) else list(self.seed)


def complete(request: Request, manifest: Manifest, multiple: int) -> Request:
    """The request with the bundle's defaults filled in and a seed drawn.

    multiple: what height and width must divide by.
    Raises BadRequest, quoting the value and what is allowed.
    """
    defaults = manifest.defaults
    height, width = manifest.shapes.default_size
    drawn = secrets.randbits(32)
    filled = replace(
        request,
        num_inference_steps=_either(request.num_inference_steps, defaults["num_inference_steps"]),
        guidance_scale=float(_either(request.guidance_scale, defaults["guidance_scale"])),
        height=_either(request.height, height),
        width=_either(request.width, width),
        seed=_either(request.seed, drawn),
        scheduler=_either(request.scheduler, defaults.get("scheduler")),
    )
    _check_texts(filled)
    manifest.shapes.check_size(filled.height, filled.width, multiple)
    if not math.isfinite(filled.guidance_scale):
        raise BadRequest(f"guidance_scale is {filled.guidance_scale}; it must be a finite number")
    if len(filled.seeds) not in (1, filled.images):
        raise BadRequest(f"{len(filled.seeds)} seeds for {filled.images} images; give one, or one for each image")
    return filled


def _check_texts(request: Request) -> None:
    if not request.prompts or not all(isinstance(text, str) for text in request.prompts):
        raise BadRequest(f"prompt is {request.prompt!r}; it must be a text or a list of texts")
    if len(request.negatives) != len(request.prompts):
        raise BadRequest(f"{len(request.negatives)} negative prompts for {len(request.prompts)} prompts")
    if request.num_images_per_prompt < 1:
        raise BadRequest(f"num_images_per_prompt is {request.num_images_per_prompt}; it must be at least 1")


def _either(given: Any, default: Any) -> Any:
    return default if given is None else given
