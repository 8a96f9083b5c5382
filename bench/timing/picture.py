"""One picture, and where its time went."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

from ...runtime.bundle import Bundle, pipeline_of
from ...runtime.device.session import DeviceSession
from ..comparison_trial import Job, begin
from .clock import Clock

DENOISER = "unet"


@dataclass(frozen=True)
class Sample:
    """In seconds.

    total: of the whole call.  stages: of each component but the denoiser, all its calls together.
    steps: of each denoising step, from one to the next, the first one left out, for it holds the prompt's encoding.
    host: of the steps, what was spent outside of the denoiser; None on a device that works by itself.
    """

    total: float
    stages: dict[str, float]
    steps: tuple[float, ...]
    host: tuple[float, ...] | None


class Photographer:
    """Prints the same picture again and again.  bundle: open, all its components kept loaded."""

    def __init__(self, bundle: Bundle, job: Job) -> None:
        self._bundle, self._job = bundle, job
        self._pipe = pipeline_of(bundle)
        self._pipe.prepare()
        self._clocks = {part.name: self._clock(part.name) for part in bundle.manifest.components}

    def take(self) -> Sample:
        """One picture."""
        for clock in self._clocks.values():
            clock.seconds = 0.0
        denoiser = self._clocks[DENOISER]
        ends: list[tuple[float, float]] = []
        start = time.perf_counter()
        printing = begin(self._pipe, self._bundle, self._job.prompts[0], self._job)
        for _ in printing:
            ends.append((time.perf_counter(), denoiser.seconds))
        total = time.perf_counter() - start
        steps = [later[0] - earlier[0] for earlier, later in pairwise(ends)]
        inside = [later[1] - earlier[1] for earlier, later in pairwise(ends)]
        host = None if denoiser.apart else tuple(whole - part for whole, part in zip(steps, inside, strict=True))
        stages = {name: clock.seconds for name, clock in self._clocks.items() if name != DENOISER and clock.seconds}
        return Sample(total, stages, tuple(steps), host)

    def close(self) -> None:
        """Give the memory back."""
        self._pipe.close()

    def _clock(self, name: str) -> Clock:
        session = self._bundle.session(name)
        clock = Clock(session)
        # The loop keeps its latents on a device only for a session that is one of the device's own.
        if not (name == DENOISER and isinstance(session, DeviceSession)):
            self._bundle.replace_session(name, clock)
        return clock
