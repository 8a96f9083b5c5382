"""The denoising loop: scheduler and denoiser, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .scheduler import Scheduler
from .session import Session, check_finite
from .shapes import Shapes


@dataclass(frozen=True)
class Step:
    """One finished step.  latents: (images, channels, height/8, width/8) float32, as they are after it."""

    index: int
    total: int
    timestep: float
    latents: np.ndarray


@dataclass(frozen=True)
class Conditioning:
    """What the denoiser is told besides latents and time: input name -> (images, ...) array.

    negative: the same inputs for classifier-free guidance, or None without it.
    beside: channels that an inpainting denoiser sees behind those of the latents, (images, channels, h, w), or None.
    """

    positive: dict[str, np.ndarray]
    negative: dict[str, np.ndarray] | None = None
    beside: np.ndarray | None = None


def denoise(
    denoiser: Session,
    scheduler: Scheduler,
    latents: np.ndarray,
    conditioning: Conditioning,
    guidance_scale: float,
    shapes: Shapes,
    draw: Callable[[], np.ndarray],
) -> Iterator[Step]:
    """Yield every step; the last one's latents are the result.

    latents: (images, channels, height/8, width/8) float32, already times scheduler.init_noise_sigma.
    draw: unit noise of the shape of latents, for schedulers that add some.
    Raises NonFinite at the first step that breaks.
    """
    total = len(scheduler.timesteps)
    for index, timestep in enumerate(scheduler.timesteps):
        sample = scheduler.scale_model_input(latents, index)
        if conditioning.beside is not None:
            sample = np.concatenate([sample, conditioning.beside], axis=1)
        noise = _predict(denoiser, sample, float(timestep), conditioning, guidance_scale, shapes)
        latents = scheduler.step(noise, index, latents, draw)
        check_finite(latents, f"unet, step {index + 1} of {total}")
        yield Step(index, total, float(timestep), latents)


def _predict(
    denoiser: Session,
    sample: np.ndarray,
    timestep: float,
    conditioning: Conditioning,
    guidance_scale: float,
    shapes: Shapes,
) -> np.ndarray:
    """The guided prediction, of the shape of the latents, in as many calls as the bundle's batch needs."""
    parts = []
    for start in range(0, len(sample), shapes.batch):
        # The last call is filled up with its last image, since an engine may know one batch only.
        rows = np.minimum(np.arange(start, start + shapes.batch), len(sample) - 1)
        known = len(sample) - start
        positive = {name: array[rows] for name, array in conditioning.positive.items()}
        if conditioning.negative is None:
            parts.append(_call(denoiser, sample[rows], timestep, positive)[:known])
            continue
        negative = {name: array[rows] for name, array in conditioning.negative.items()}
        if shapes.guidance == "split":
            without = _call(denoiser, sample[rows], timestep, negative)
            towards = _call(denoiser, sample[rows], timestep, positive)
        else:
            both = {name: np.concatenate([negative[name], positive[name]]) for name in positive}
            twice = np.concatenate([sample[rows], sample[rows]])
            without, towards = np.split(_call(denoiser, twice, timestep, both), 2)
        parts.append((without + np.float32(guidance_scale) * (towards - without))[:known])
    return np.concatenate(parts)


def _call(denoiser: Session, sample: np.ndarray, timestep: float, told: dict[str, np.ndarray]) -> np.ndarray:
    feeds = {"sample": sample, "timestep": np.array([timestep], np.float32), **told}
    return denoiser.run(feeds)["out_sample"]
