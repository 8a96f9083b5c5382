"""The pictures that a bundle must be able to print, printed here and compared."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from PIL import Image

from .bundle import Bundle, pipeline_of
from .errors import QualityMissed
from .manifest import Golden
from .pictures import read_picture
from .pixels import psnr_db

log = logging.getLogger(__name__)


def print_goldens(bundle: Bundle) -> list[Golden]:
    """The bundle's goldens with the PSNR that it reaches on this machine.

    Raises QualityMissed under the manifest's min_psnr_db, NonFinite on NaN and infinity.
    """
    pipe = pipeline_of(bundle)
    least = bundle.manifest.verification.min_psnr_db
    found = []
    for golden in bundle.manifest.verification.goldens:
        printed = pipe(
            golden.prompt, seed=golden.seed, num_inference_steps=golden.steps, guidance_scale=golden.guidance_scale,
            height=golden.height, width=golden.width, **_start(bundle, golden),
        ).images[0]  # fmt: skip
        assert isinstance(printed, Image.Image)
        with Image.open(bundle.folder / golden.image) as reference:
            quality = psnr_db(printed, reference)
        log.info("golden image %r: %.1f dB", golden.prompt, quality)
        if quality < least:
            raise QualityMissed(
                f"golden image {golden.prompt!r}, seed {golden.seed}: {quality:.1f} dB on {bundle.target} against the "
                f"reference, the budget is {least:.1f} dB (relative errors of the components: {_errors(bundle)}); "
                "widen a precision in the profile, or its budget, and compile again"
            )
        found.append(replace(golden, psnr_db=round(quality, 2)))
    return found


def _start(bundle: Bundle, golden: Golden) -> dict[str, Any]:
    """The picture that the golden one was made from, for models that only go on from one."""
    if golden.start is None:
        return {}
    return {"image": read_picture(bundle.folder / golden.start), "strength": golden.strength}


def _errors(bundle: Bundle) -> str:
    return ", ".join(f"{part.name} {part.quality.get('relative_error', 0):.2g}" for part in bundle.manifest.components)
