"""The pictures that a bundle must be able to print, printed here and compared."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from .bundle import Bundle, pipeline_of
from .errors import QualityMissed
from .likeness import SSIM_SIDE, latent_distance, ssim
from .manifest import Golden, Verification
from .pictures import read_picture
from .pipeline import Pipeline
from .pixels import psnr_db

log = logging.getLogger(__name__)

ENCODER = "vae_encoder"


def print_goldens(bundle: Bundle) -> list[Golden]:
    """The bundle's goldens with the figures that it reaches on this machine.

    Raises QualityMissed where one is outside the manifest's bounds, NonFinite on NaN and infinity.
    """
    asked = bundle.manifest.verification
    # All are printed before any is encoded, for a bundle may keep only one component loaded.
    pipe = pipeline_of(bundle)
    pictures = [_print(pipe, bundle, golden) for golden in asked.goldens]
    found = []
    for golden, picture in zip(asked.goldens, pictures, strict=True):
        measured = _measure(bundle, golden, picture)
        for figure, least in _missed(asked, measured):
            raise QualityMissed(
                f"golden image {golden.prompt!r}, seed {golden.seed}: {figure} on {bundle.target} against the "
                f"reference, the budget is {least} (relative errors of the components: {_errors(bundle)}); "
                "widen a precision in the profile, or its budget, and compile again"
            )
        found.append(_rounded(measured))
    return found


def _print(pipe: Pipeline, bundle: Bundle, golden: Golden) -> Image.Image:
    printed = pipe(
        golden.prompt, seed=golden.seed, num_inference_steps=golden.steps, guidance_scale=golden.guidance_scale,
        height=golden.height, width=golden.width, **_start(bundle, golden),
    ).images[0]  # fmt: skip
    assert isinstance(printed, Image.Image)
    return printed


def _start(bundle: Bundle, golden: Golden) -> dict[str, Any]:
    """The picture that the golden one was made from, for models that only go on from one."""
    if golden.start is None:
        return {}
    return {"image": read_picture(bundle.folder / golden.start), "strength": golden.strength}


def _measure(bundle: Bundle, golden: Golden, printed: Image.Image) -> Golden:
    def encode(sample: np.ndarray) -> np.ndarray:
        return bundle.session(ENCODER).run({"sample": sample})["latent_parameters"]

    with Image.open(bundle.folder / golden.image) as reference:
        decibels = psnr_db(printed, reference)
        alike = ssim(printed, reference) if min(reference.size) >= SSIM_SIDE else None
        has_encoder = bundle.manifest.component(ENCODER) is not None
        distance = latent_distance(printed, reference, encode) if has_encoder else None
    figures = f"SSIM {_figure(alike)}, latent distance {_figure(distance)}"
    log.info("golden image %r: %.1f dB, %s", golden.prompt, decibels, figures)
    return replace(golden, psnr_db=decibels, ssim=alike, latent_distance=distance)


def _missed(asked: Verification, golden: Golden) -> Iterator[tuple[str, str]]:
    """Each figure that is outside its bound, and the bound; one that was not measured is."""
    if golden.psnr_db < asked.min_psnr_db:
        yield f"{golden.psnr_db:.1f} dB", f"{asked.min_psnr_db:.1f} dB"
    if asked.min_ssim is not None and (golden.ssim is None or golden.ssim < asked.min_ssim):
        yield f"SSIM {_figure(golden.ssim)}", f"{asked.min_ssim:g} or more"
    most, distance = asked.max_latent_distance, golden.latent_distance
    if most is not None and (distance is None or distance > most):
        yield f"latent distance {_figure(distance)}", f"{most:g} or less"


def _rounded(golden: Golden) -> Golden:
    """With as many digits as mean something."""
    alike, distance = (None if value is None else round(value, 4) for value in (golden.ssim, golden.latent_distance))
    return replace(golden, psnr_db=round(golden.psnr_db, 2), ssim=alike, latent_distance=distance)


def _figure(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.4f}"


def _errors(bundle: Bundle) -> str:
    return ", ".join(f"{part.name} {part.quality.get('relative_error', 0):.2g}" for part in bundle.manifest.components)
