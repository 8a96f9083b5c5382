"""The scheduler of a call, and which of its timesteps are run: all, or those after a start and before an end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from .call import Call
from .errors import BadRequest
from .scheduler import Scheduler, make_scheduler
from .schedulers import dpm_sde

LARGEST = 1e12  # of latents in a rehearsal; with those of a real model, larger ones soon are past float32
TRAINED = 1000  # training steps where a configuration does not say, in every scheduler of Diffusers


def schedule_call(call: Call, config: Mapping[str, Any], chosen_anew: bool) -> tuple[Scheduler, range]:
    """The scheduler, and the indices of its timesteps that the call runs.

    config: of the bundle's own scheduler.  chosen_anew: for a picture, the model's timesteps are chosen from those of
    the strength, as in LCM's own pipeline, instead of being cut.
    Raises BadRequest where no step is left, and where the steps make no finite numbers.
    """
    schedule, name = call.schedule, None
    if isinstance(schedule.scheduler, str):
        name = schedule.scheduler
    elif schedule.scheduler is not None:
        config = schedule.scheduler
    chosen_anew = chosen_anew and call.source.mode == "image"
    scheduler = make_scheduler(
        config,
        schedule.steps,
        name,
        {"eta": schedule.eta} if schedule.eta else {},
        timesteps=schedule.timesteps,
        sigmas=schedule.sigmas,
        strength=call.source.strength if chosen_anew else None,
    )
    span = range(len(scheduler.timesteps))
    if not chosen_anew:
        if call.source.mode != "text" and schedule.start is None:
            given = schedule.timesteps is not None or schedule.sigmas is not None
            span = span_of_strength(scheduler, len(span) if given else schedule.steps, call.source.strength)
        trained = int(config.get("num_train_timesteps", TRAINED))
        span = span_between(scheduler, trained, schedule.start, schedule.end, span)
    rehearse(deepcopy(scheduler), span, name or str(config.get("_class_name")))
    return scheduler, span


def rehearse(scheduler: Scheduler, span: range, name: str) -> None:
    """Run the scheduler, which serves no other run then, on a few numbers instead of a model's answers.

    Raises BadRequest where its settings, though each of them may be right, make no finite numbers of these.
    """
    if isinstance(scheduler, dpm_sde.Scheduler):
        return  # its noise takes milliseconds a call, whatever the size
    noise = np.linspace(-2, 2, 16, dtype=np.float32).reshape(1, 1, 4, 4)
    with np.errstate(all="ignore"):
        latents = noise * np.float32(scheduler.init_noise_sigma)
        if span.start > 0:
            latents = scheduler.add_noise(noise, noise, span.start)
        for index in span:
            seen = scheduler.scale_model_input(latents, index)
            latents = scheduler.step(noise, index, latents, lambda: noise)
            if not all(np.abs(numbers).max() < LARGEST for numbers in (scheduler.timesteps[index], seen, latents)):
                timesteps = scheduler.timesteps
                raise BadRequest(
                    f"scheduler {name} makes NaN or endless numbers at call {index + 1} of {len(timesteps)}, "
                    f"timestep {timesteps[index]:g}; change its settings, its schedule or the number of steps"
                )


def span_of_strength(scheduler: Scheduler, steps: int, strength: float) -> range:
    """The last calls of the schedule, for a picture that keeps 1 - strength of the way.

    Raises BadRequest where no step is left.
    Source: Diffusers' get_timesteps, which cuts steps * strength down.
    """
    left = min(int(steps * strength), steps)
    span = range((steps - left) * scheduler.calls_per_step, len(scheduler.timesteps))
    if not span:
        least = math.ceil(1e4 / steps) / 1e4
        raise BadRequest(
            f"strength {strength:g} of {steps} steps leaves none; it must be at least {least:g}, or take more steps"
        )
    return span


def span_between(scheduler: Scheduler, trained: int, start: float | None, end: float | None, span: range) -> range:
    """The part of `span` whose timesteps lie between two shares of the training steps.

    trained: how many there are.  start, end: in (0, 1), counted from the noise, or None for no limit.
    Raises BadRequest where no step is left.
    Source: Diffusers' get_timesteps of SDXL's pipelines and their denoising_end.
    """
    first, last = span.start, span.stop
    if start is not None:
        cutoff = round(trained - start * trained)
        calls = int((scheduler.timesteps < cutoff).sum())
        # Each level but the highest is called twice: an even count would begin inside a step.
        if scheduler.calls_per_step == 2 and calls % 2 == 0:
            calls += 1
        first = len(scheduler.timesteps) - calls
    if end is not None:
        cutoff = round(trained - end * trained)
        last = first + int((scheduler.timesteps[first:last] >= cutoff).sum())
    if first >= last or first < 0:
        limits = (("denoising_start", start), ("denoising_end", end))
        given = " and ".join(f"{name} {value:g}" for name, value in limits if value is not None)
        raise BadRequest(f"no step is left by {given}; take more steps, or move them")
    return range(first, last)
