"""The calls whose pictures are compared, between engines and between ways of one engine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

PROMPTS = (
    "a large red circle on a white background",
    "a blue square left of a red triangle on a white background",
    "a green ring at the top on a black background",
)
SEED = 3
# So little of it changes nothing, and with any of it the loop leaves the GPU after each step.
HOST_LOOP = {"guidance_rescale": 1e-9}


@dataclass(frozen=True)
class Call:
    """words: arguments of the pipeline that JSON can hold.  start, mask: goes on from a drawn picture, under a mask."""

    name: str
    words: dict[str, Any] = field(default_factory=dict)
    start: bool = False
    mask: bool = False


def engine_calls(steps: int) -> tuple[Call, ...]:
    """For one bundle on two engines: each task, schedulers without and with noise of their own, several pictures.

    The noise is drawn on the host, so the same seed is the same picture everywhere.
    """
    one: dict[str, Any] = {"prompt": PROMPTS[0], "seed": SEED, "num_inference_steps": steps}
    several = {**one, "seed": [SEED, SEED + 1]}
    return (
        Call("text, ddim", {**one, "scheduler": "ddim"}),
        Call("text, dpm_multistep", {**one, "scheduler": "dpm_multistep"}),
        Call("text, euler_ancestral", {**one, "scheduler": "euler_ancestral"}),
        Call("image to image, ddim", {**one, "scheduler": "ddim", "strength": 0.6}, start=True),
        Call("image to image, euler_ancestral", {**one, "scheduler": "euler_ancestral", "strength": 0.6}, start=True),
        Call("inpainting, ddim", {**one, "scheduler": "ddim", "strength": 0.95}, start=True, mask=True),
        Call(
            "two of a prompt, euler_ancestral", {**several, "scheduler": "euler_ancestral", "num_images_per_prompt": 2}
        ),
        Call(
            "three prompts, ddim",
            {**one, "prompt": list(PROMPTS), "seed": [SEED, SEED + 1, SEED + 2], "scheduler": "ddim"},
        ),
    )


def way_calls(steps: int) -> tuple[Call, ...]:
    """For two ways of one engine: what runs in the GPU's memory from the first step to the last."""
    return tuple(call for call in engine_calls(steps) if call.name.startswith("text"))


def on_host(call: Call) -> Call:
    """The same call with its loop on the host."""
    return replace(call, name=f"{call.name}, loop on the host", words={**call.words, **HOST_LOOP})
