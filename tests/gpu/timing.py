"""Stage 3: one bundle, from the start of its process to the first picture, and step by step after it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aquatint.runtime.denoise import Step
from aquatint.runtime.load import load
from aquatint.tests.gpu.protocol import tell

FIRST = "first picture"


@dataclass(frozen=True)
class Call:
    """What is printed again and again, by us and by Diffusers: with guidance, one picture of `size` pixels square."""

    prompt: str
    seed: int
    steps: int
    guidance_scale: float
    size: int


@dataclass(frozen=True)
class Job:
    """bundle: its folder.  options: fields of EngineOptions.  repeats: pictures that are timed, after the first."""

    bundle: str
    call: Call
    repeats: int
    options: dict[str, Any] = field(default_factory=dict)


class Steps:
    """Times the steps of one picture but its first, which holds the encoding too."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last: float | None = None

    def done(self) -> None:
        """A step is done, and the device with it."""
        now = time.perf_counter()
        if self._last is not None:
            self.seconds.append(now - self._last)
        self._last = now


def do(job: Job, folder: Path) -> dict[str, Any]:
    """step_s: of each picture after the first, its steps; picture_s: of each, whole, from the text to the pixels."""
    pipe = load(job.bundle, **job.options)
    tell("loaded")
    call = job.call
    words = {
        "prompt": call.prompt, "seed": call.seed, "num_inference_steps": call.steps,
        "guidance_scale": call.guidance_scale, "height": call.size, "width": call.size,
    }  # fmt: skip
    made = pipe(**words)  # type: ignore[arg-type]
    tell(FIRST)
    made.images[0].save(folder / "first.png")
    step_s, picture_s = [], []
    for number in range(job.repeats):
        steps = Steps()

        def watch(step: Step, steps: Steps = steps) -> None:
            steps.done()  # the runtime waits for the device in every step

        start = time.perf_counter()
        pipe(**words, callback=watch)  # type: ignore[arg-type]
        picture_s.append(time.perf_counter() - start)
        step_s.append(steps.seconds)
        tell("picture", number=number)
    pipe.close()
    return {"step_s": step_s, "picture_s": picture_s, "picture": str(folder / "first.png")}
