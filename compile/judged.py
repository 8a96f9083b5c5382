"""The demo model's judge at the end of a compile: of its 200 prompts, how many the bundle draws right."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict

import numpy as np

from ..profiles.budget import Budget
from ..runtime.bundle import Bundle, pipeline_of
from ..runtime.errors import BadProfile, BadRequest, QualityMissed
from ..runtime.manifest import Judged
from ..runtime.shapes import Shapes
from .checkpoint import Checkpoint

log = logging.getLogger(__name__)


def check_judge(budget: Budget, checkpoint: Checkpoint, shapes: Shapes) -> None:
    """Raises BadProfile where the budget asks for the judge and the model is not the one whose answers it knows."""
    if budget.judge is None:
        return
    from ..demo import MODEL
    from ..demo.draw import SIZE

    if checkpoint.folder.resolve() != MODEL.resolve() or checkpoint.loras or checkpoint.embeddings:
        raise BadProfile(
            "the budget's judge is for the demo model alone, with nothing merged into it, not for "
            f"{checkpoint.source}; use psnr, ssim or latent"
        )
    try:
        shapes.check_size(SIZE, SIZE, 1)
    except BadRequest as reason:
        raise BadProfile(f"the budget's judge looks at pictures of {SIZE}x{SIZE}: {reason}") from reason


def judge_bundle(bundle: Bundle, allowed: int) -> Judged:
    """Print the held-out prompts as demo/evaluate.py does, with its seeds and the checkpoint's own scheduler.

    Right is a picture with all objects and the background that its prompt asks for; demo/model/score.json says how
    many the checkpoint draws.  Raises QualityMissed where more than `allowed` are lost.
    """
    from ..demo.judge import judge

    score = judge(_print_prompts(bundle))
    found = Judged(round(score.scene * score.count), score.count, _checkpoint_right())
    log.info("judge: %d of %d prompts drawn right, by the checkpoint %d", found.right, found.of, found.reference)
    if found.lost > allowed:
        raise QualityMissed(
            f"the judge finds {found.right} of {found.of} prompts drawn right on {bundle.target}, the checkpoint draws "
            f"{found.reference}: {found.lost} are lost, the budget allows {allowed}; "
            "widen a precision in the profile, or its budget, and compile again"
        )
    return found


def _print_prompts(bundle: Bundle) -> list[tuple[str, np.ndarray]]:
    from ..demo.draw import SIZE
    from ..demo.evaluate import Sampling
    from ..demo.prompts import held_out

    sampling = Sampling()
    prompts = [prompt for prompt, _ in held_out(sampling.count)]
    # One call for all: a bundle may keep one component loaded only, and would load each for every call.
    made = pipeline_of(bundle)(
        prompts, seed=[sampling.first_seed + i for i in range(len(prompts))],
        num_inference_steps=sampling.steps, guidance_scale=sampling.guidance_scale,
        scheduler=str(bundle.manifest.scheduler["_class_name"]), height=SIZE, width=SIZE,
    )  # fmt: skip
    return list(zip(prompts, (np.asarray(picture) for picture in made.images), strict=True))


def _checkpoint_right() -> int:
    from ..demo import MODEL
    from ..demo.evaluate import Sampling

    record = json.loads((MODEL / "score.json").read_text(encoding="utf-8"))
    assert record["sampling"] == asdict(Sampling()), (
        "score.json was made otherwise; run python -m aquatint.demo.evaluate"
    )
    return round(record["score"]["scene"] * record["score"]["count"])
