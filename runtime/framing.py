"""What SDXL is told of how a picture is framed."""

from __future__ import annotations

from dataclasses import dataclass

from . import checks
from .request import Request
from .source import Mode


@dataclass(frozen=True)
class Framing:
    """What SDXL is told of the picture.  original, target: (height, width); crop: (top, left) in the original.

    score: how beautiful, about 1 to 10, for models that ask.
    """

    original: tuple[int, int]
    crop: tuple[int, int]
    target: tuple[int, int]
    score: float


def framings(request: Request, mode: Mode, height: int, width: int, scored: bool) -> tuple[Framing, Framing]:
    """What SDXL is told of the prompt's picture and of the negative prompt's, by each of Diffusers' pipelines."""
    original = pair_of(request, "original_size", (height, width))
    target = pair_of(request, "target_size", (height, width))
    crop, negative_crop = pair_of(request, "crops_coords_top_left"), pair_of(request, "negative_crops_coords_top_left")
    score = checks.bounded(request.aesthetic_score, "aesthetic_score")
    negative_score = checks.bounded(request.negative_aesthetic_score, "negative_aesthetic_score")
    framing = Framing(original, crop, target, score)
    negative_original = pair_of(request, "negative_original_size", original)
    negative_target = pair_of(request, "negative_target_size", target)
    if mode == "text":
        if request.negative_original_size is None or request.negative_target_size is None:
            return framing, framing
    elif not scored:
        negative_crop = crop  # the image pipelines' own, where no score is told
    return framing, Framing(
        original=negative_original,
        crop=negative_crop,
        target=negative_target,
        score=negative_score,
    )


def pair_of(request: Request, name: str, default: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    value = getattr(request, name)
    return default if value is None else checks.pair(value, name)
