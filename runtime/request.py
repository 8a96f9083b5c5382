"""A call of a pipeline: its arguments, named as Diffusers names them, checked before anything slow."""

from __future__ import annotations

import math
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from .errors import BadRequest
from .manifest import Manifest

T = TypeVar("T")
LIMIT = 1 << 16  # of sides in pixels, steps and copies


@dataclass(frozen=True)
class Request:
    """What a caller asks for; where a field is None, the bundle's default holds.

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


@dataclass(frozen=True)
class Call:
    """A request with every default filled in and everything checked.

    negatives: one for each prompt; None where the caller gave none.  seeds: one for all images, or one for each.
    """

    prompts: tuple[str, ...]
    negatives: tuple[str | None, ...]
    steps: int
    guidance_scale: float
    height: int
    width: int
    seeds: tuple[int, ...]
    images_per_prompt: int
    scheduler: str | Mapping[str, Any] | None
    latents: np.ndarray | None

    @property
    def images(self) -> int:
        """How many pictures the call makes."""
        return len(self.prompts) * self.images_per_prompt

    def record(self) -> dict[str, Any]:
        """The arguments that make the same pictures again, under Request's names."""
        return {
            "prompt": _single(self.prompts),
            "negative_prompt": _single(self.negatives),
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance_scale,
            "height": self.height,
            "width": self.width,
            "seed": _single(self.seeds),
            "num_images_per_prompt": self.images_per_prompt,
            "scheduler": self.scheduler,
        }


def complete(request: Request, manifest: Manifest, multiple: int) -> Call:
    """The call that a request makes of this bundle; where it has no seed, one is drawn.

    multiple: what height and width must divide by.
    Raises BadRequest, quoting the value and what is allowed.
    """
    defaults, usual = manifest.defaults, manifest.shapes.default_size
    prompts = _texts(request.prompt, "prompt")
    several = request.negative_prompt is not None and not isinstance(request.negative_prompt, str)
    negatives: tuple[str | None, ...] = (None,) * len(prompts)
    if request.negative_prompt is not None:
        negatives = _texts(request.negative_prompt, "negative_prompt") * (1 if several else len(prompts))
    call = Call(
        prompts=prompts,
        negatives=negatives,
        steps=_whole(_either(request.num_inference_steps, defaults.num_inference_steps), "num_inference_steps"),
        guidance_scale=_finite(_either(request.guidance_scale, defaults.guidance_scale), "guidance_scale"),
        height=_whole(_either(request.height, usual[0]), "height"),
        width=_whole(_either(request.width, usual[1]), "width"),
        seeds=_seeds(_either(request.seed, secrets.randbits(32))),
        images_per_prompt=_whole(request.num_images_per_prompt, "num_images_per_prompt"),
        scheduler=_either(request.scheduler, defaults.scheduler),
        latents=request.latents,
    )
    manifest.shapes.check_size(call.height, call.width, multiple)
    if len(call.negatives) != len(prompts):
        raise BadRequest(f"{len(call.negatives)} negative prompts for {len(prompts)} prompts")
    if len(call.seeds) not in (1, call.images):
        raise BadRequest(f"{len(call.seeds)} seeds for {call.images} images; give one, or one for each image")
    return call


def _texts(value: Any, name: str) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, Sequence) else ()
    if not texts or not all(isinstance(text, str) for text in texts):
        raise BadRequest(f"{name} is {value!r}; it must be a text or a list of texts")
    # Bytes of a command line that were not UTF-8 arrive as lone surrogates, which no tokenizer and no file takes.
    if any("\ud800" <= sign <= "\udfff" for text in texts for sign in text):
        raise BadRequest(f"{name} is {value!r}, which is no valid Unicode")
    return texts


def _seeds(value: Any) -> tuple[int, ...]:
    several = isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim > 0)
    seeds = tuple(value) if several else (value,)
    if not seeds or any(isinstance(seed, bool) or not isinstance(seed, int | np.integer) for seed in seeds):
        raise BadRequest(f"seed is {value!r}; it must be a whole number, or a list of them")
    return tuple(int(seed) for seed in seeds)


def _whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= LIMIT:
        raise BadRequest(f"{name} is {value!r}; it must be a whole number from 1 to {LIMIT}")
    return int(value)


def _finite(value: Any, name: str) -> float:
    # A whole number past float's range would overflow in isfinite.
    large = isinstance(value, int) and abs(value) > sys.float_info.max
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or large or not math.isfinite(value):
        raise BadRequest(f"{name} is {value!r}; it must be a finite number")
    return float(value)


def _either(given: T | None, default: Any) -> T | Any:
    return default if given is None else given


def _single(values: tuple[T, ...]) -> T | list[T]:
    return values[0] if len(values) == 1 else list(values)
