"""One bundle in a process of its own: how fast it loads and steps, what memory it takes, and what it prints.

python -m aquatint.bench.comparison_trial FOLDER, which holds job.json; the results are written beside it.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..runtime.bundle import Bundle, open_bundle, pipeline_of
from ..runtime.denoise import Step
from ..runtime.errors import Error
from ..runtime.pipeline import Pipeline, Printing, finish
from ..runtime.record import from_table, to_table
from .likeness import STRENGTHS, drawn_mask, drawn_start, tasks
from .process_memory import memory_bytes

JOB, TRIAL, REASON = "job.json", "trial.json", "reason.txt"
LEAST_STEPS = 3  # image to image leaves some out, and the first is not timed
DONE = "done"  # a line of stdout for each step, and for each picture of the judge's


@dataclass(frozen=True)
class Job:
    """What a trial does.  bundle: its folder.  steps: LEAST_STEPS or more.  Every picture has the same seed.

    scheduler: our name, or None for the checkpoint's own.  judge: print and score the demo's 200 prompts too.
    """

    bundle: str
    prompts: tuple[str, ...]
    seed: int
    steps: int
    guidance_scale: float
    scheduler: str | None
    judge: bool = False


@dataclass(frozen=True)
class Trial:
    """What was measured.

    load_s: opening the bundle and its engines.  step_s: of each denoising step but a picture's first.
    peak_bytes: the most memory that the process ever had; anonymous_bytes: the most at the end of a step that is its
    own and not pages of a file; None where the system tells neither.
    judged_right: of the demo's 200 prompts, or None.
    """

    load_s: float
    step_s: tuple[float, ...]
    peak_bytes: int | None
    anonymous_bytes: int | None
    judged_right: int | None


def picture_file(index: int) -> str:
    """Where in the folder a prompt's picture is."""
    return f"picture-{index}.png"


def run_trial(job: Job, folder: Path) -> Trial:
    """Do the job here and now; writes the pictures into `folder`, and DONE to stdout for each step."""
    start = time.perf_counter()
    bundle = open_bundle(job.bundle)
    pipe = pipeline_of(bundle)
    pipe.prepare()
    load_s = time.perf_counter() - start
    watch = _Watch()
    for index, prompt in enumerate(job.prompts):
        picture = finish(begin(pipe, bundle, prompt, job), watch).images[0]
        assert isinstance(picture, Image.Image)
        picture.save(folder / picture_file(index))
    peak_bytes = memory_bytes("VmHWM")
    right = _judge(pipe, bundle) if job.judge else None
    pipe.close()
    return Trial(load_s, tuple(watch.step_s), peak_bytes, watch.anonymous_bytes, right)


def begin(pipe: Pipeline, bundle: Bundle, prompt: str, job: Job) -> Printing:
    """The call that makes one picture; a model that makes none from text alone goes on from a drawn one.

    Raises BadRequest before anything slow.
    """
    given = task_arguments(bundle, bundle.manifest.shapes.default_size)
    return pipe.generate(
        prompt, seed=job.seed, num_inference_steps=job.steps, guidance_scale=job.guidance_scale,
        scheduler=job.scheduler, **given,
    )  # fmt: skip


def task_arguments(bundle: Bundle, size: tuple[int, int]) -> dict[str, Any]:
    """The size, and what a model that makes no picture from text alone goes on from, as arguments of a call.

    size: (height, width) in pixels.
    """
    task = tasks(bundle)[0]
    given: dict[str, Any] = dict(zip(("height", "width"), size, strict=True)) if task != "image to image" else {}
    if task != "text to image":
        given |= {"image": drawn_start(size), "strength": STRENGTHS[task]}
    if task == "inpainting":
        given["mask_image"] = drawn_mask(size)
    return given


class _Watch:
    """Sees each step as it ends."""

    def __init__(self) -> None:
        self.step_s: list[float] = []
        self.anonymous_bytes: int | None = None
        self._last = 0.0

    def __call__(self, step: Step) -> None:
        now = time.perf_counter()
        if step.index > 0:  # the first one holds the prompt's encoding too
            self.step_s.append(now - self._last)
        anonymous = memory_bytes("RssAnon")
        if anonymous is not None:
            self.anonymous_bytes = max(anonymous, self.anonymous_bytes or 0)
        print(DONE, flush=True)
        self._last = time.perf_counter()


def _judge(pipe: Pipeline, bundle: Bundle) -> int:
    """How many of the demo's held-out prompts are drawn right, made as demo/evaluate.py makes them."""
    from ..demo.draw import SIZE
    from ..demo.evaluate import Sampling
    from ..demo.judge import judge
    from ..demo.prompts import held_out

    sampling = Sampling()
    prompts = [prompt for prompt, _ in held_out(sampling.count)]
    pictures = []
    for i, prompt in enumerate(prompts):
        made = pipe(
            prompt, seed=sampling.first_seed + i, num_inference_steps=sampling.steps,
            guidance_scale=sampling.guidance_scale, scheduler=str(bundle.manifest.scheduler["_class_name"]),
            height=SIZE, width=SIZE,
        )  # fmt: skip
        pictures.append(np.asarray(made.images[0]))
        print(DONE, flush=True)
    score = judge(zip(prompts, pictures))
    return round(score.scene * score.count)


def main(folder: Path) -> None:
    """Do what `folder`/job.json says; what went wrong is left there in one line."""
    try:
        job = from_table(Job, json.loads((folder / JOB).read_text(encoding="utf-8")), JOB, ValueError)
        (folder / TRIAL).write_text(json.dumps(to_table(run_trial(job, folder))), encoding="utf-8")
    except Error as wrong:
        (folder / REASON).write_text(str(wrong), encoding="utf-8")
        sys.exit(1)
    except Exception as wrong:
        (folder / REASON).write_text(f"{type(wrong).__name__}: {wrong}", encoding="utf-8")
        raise


if __name__ == "__main__":
    main(Path(sys.argv[1]))
