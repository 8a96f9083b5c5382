"""The denoising loop: scheduler and denoiser, step by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from .device.loop import ResidentRun
from .device.program import Program, trace
from .device.session import DeviceSession
from .inpainting import Kept
from .scheduler import Scheduler
from .session import Session, check_finite
from .shapes import Shapes


@dataclass(frozen=True)
class Step:
    """One finished step.

    read: gives latents; a device may hold them until the run ends, so whoever wants them asks before.
    """

    index: int
    total: int
    timestep: float
    read: Callable[[], np.ndarray]

    @cached_property
    def latents(self) -> np.ndarray:
        """(images, channels, height/8, width/8) float32, as they are after it.  Raises NonFinite."""
        return self.read()


@dataclass(frozen=True)
class Start:
    """Where a run begins.

    latents: (images, channels, height/8, width/8) float32, at the noise level of the first timestep.
    span: indices of the scheduler's timesteps that are run.
    beside: what an inpainting denoiser sees behind the latents, (images, channels, height/8, width/8), or None.
    kept: what any other denoiser must leave of a picture, or None.
    """

    latents: np.ndarray
    span: range
    beside: np.ndarray | None = None
    kept: Kept | None = None


@dataclass(frozen=True)
class Conditioning:
    """What the denoiser is told besides latents and time: input name -> (images, ...) array.

    negative: the same inputs for classifier-free guidance, or None without it.
    """

    positive: dict[str, np.ndarray]
    negative: dict[str, np.ndarray] | None = None


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance.  scale: how far past the prompt.  rescale: in [0, 1], see rescaled."""

    scale: float
    rescale: float = 0.0


def denoise(
    denoiser: Session,
    scheduler: Scheduler,
    start: Start,
    conditioning: Conditioning,
    guidance: Guidance,
    shapes: Shapes,
    draw: Callable[[], np.ndarray],
) -> Iterator[Step]:
    """Yield every step; the last one's latents are the result.

    draw: unit noise of the shape of the latents, for schedulers that add some.
    A denoiser that works in a device's memory keeps the latents there, where the scheduler is a program (device/loop).
    Raises NonFinite, on the host at the first step that breaks, else when latents are read.
    """
    if isinstance(denoiser, DeviceSession) and start.beside is None and start.kept is None and not guidance.rescale:
        shares = (1.0,) if conditioning.negative is None else (1 - guidance.scale, guidance.scale)
        program = trace(scheduler, start.span, shares)
        if program is not None:
            timesteps = scheduler.timesteps[start.span.start : start.span.stop]
            yield from _on_device(denoiser, program, timesteps, start.latents, conditioning, shapes, draw)
            return
    latents, total = start.latents, len(start.span)
    for done, index in enumerate(start.span):
        timestep = float(scheduler.timesteps[index])
        sample = scheduler.scale_model_input(latents, index)
        if start.beside is not None:
            sample = np.concatenate([sample, start.beside], axis=1)
        noise = _predict(denoiser, sample, timestep, conditioning, guidance, shapes)
        latents = scheduler.step(noise, index, latents, draw)
        if start.kept is not None:
            latents = start.kept.put_back(latents, scheduler, index + 1 if done + 1 < total else None)
        check_finite(latents, f"unet, step {done + 1} of {total}")
        yield Step(done, total, timestep, partial(_given, latents))


def rescaled(guided: np.ndarray, towards: np.ndarray, rescale: float) -> np.ndarray:
    """A guided prediction, moved towards the spread of the prompt's own, (images, channels, h, w).

    Source: Lin et al. 2023, arXiv:2305.08891, section 3.4.
    """
    spread, own = (values.std(axis=(1, 2, 3), ddof=1, keepdims=True, dtype=np.float64) for values in (guided, towards))
    even = guided * (own / spread).astype(np.float32)
    return np.float32(rescale) * even + np.float32(1 - rescale) * guided


def _on_device(
    denoiser: DeviceSession,
    program: Program,
    timesteps: np.ndarray,
    latents: np.ndarray,
    conditioning: Conditioning,
    shapes: Shapes,
    draw: Callable[[], np.ndarray],
) -> Iterator[Step]:
    tellings = [told for told in (conditioning.negative, conditioning.positive) if told is not None]
    with ResidentRun(denoiser, program, timesteps, latents, tellings, shapes, draw) as run:
        for done in run.steps():
            yield Step(done, len(timesteps), float(timesteps[done]), partial(run.latents, done))


def _given(latents: np.ndarray) -> np.ndarray:
    return latents


def _predict(
    denoiser: Session,
    sample: np.ndarray,
    timestep: float,
    conditioning: Conditioning,
    guidance: Guidance,
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
        guided = without + np.float32(guidance.scale) * (towards - without)
        if guidance.rescale > 0:
            guided = rescaled(guided, towards, guidance.rescale)
        parts.append(guided[:known])
    return np.concatenate(parts)


def _call(denoiser: Session, sample: np.ndarray, timestep: float, told: dict[str, np.ndarray]) -> np.ndarray:
    feeds = {"sample": sample, "timestep": np.array([timestep], np.float32), **told}
    return denoiser.run(feeds)["out_sample"]
