"""One call, and where its time went."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

from PIL import Image

from ...runtime.bundle import Bundle, pipeline_of
from ...runtime.device.session import DeviceSession
from ...runtime.pipeline import Printing
from ..comparison_trial import task_arguments
from .call import Call
from .clock import Clock
from .measured import Sample

DENOISER = "unet"


class Photographer:
    """Prints with one bundle, and times every part.  bundle: open, all its components kept loaded."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._pipe = pipeline_of(bundle)
        self._pipe.prepare()
        self._clocks = {part.name: self._clock(part.name) for part in bundle.manifest.components}

    def take(self, call: Call, entering: Callable[[str], None] | None = None) -> tuple[Sample, list[Image.Image]]:
        """The sample and its images.  entering: told of each component before it first runs; then times mean nothing.

        Raises BadRequest for what the bundle can't print.
        """
        for clock in self._clocks.values():
            clock.restart(entering)
        denoiser = self._clocks[DENOISER]
        ends: list[tuple[float, float]] = []
        start = time.perf_counter()
        printing = self._begin(call)
        while True:
            try:
                next(printing)
            except StopIteration as end:
                images: list[Image.Image] = end.value.images
                break
            ends.append((time.perf_counter(), denoiser.seconds))
        total = time.perf_counter() - start
        steps = [later[0] - earlier[0] for earlier, later in pairwise(ends)]
        inside = [later[1] - earlier[1] for earlier, later in pairwise(ends)]
        host = None if denoiser.apart else tuple(whole - part for whole, part in zip(steps, inside, strict=True))
        stages = {name: clock.seconds for name, clock in self._clocks.items() if name != DENOISER and clock.seconds}
        calls = {name: clock.calls for name, clock in self._clocks.items() if clock.calls}
        return Sample(total, stages, tuple(steps), host, calls), images

    def shapes(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Of the inputs in the last call of each component that was seen to be called."""
        return {name: clock.shapes for name, clock in self._clocks.items() if clock.shapes}

    def close(self) -> None:
        """Give the memory back."""
        self._pipe.close()

    def _begin(self, call: Call) -> Printing:
        return self._pipe.generate(
            call.prompt, seed=call.seed, num_inference_steps=call.steps, guidance_scale=call.guidance_scale,
            scheduler=call.scheduler, num_images_per_prompt=call.images,
            **task_arguments(self._bundle, (call.height, call.width)),
        )  # fmt: skip

    def _clock(self, name: str) -> Clock:
        session = self._bundle.session(name)
        clock = Clock(session, name)
        # The loop keeps its latents on a device only for a session that is one of the device's own.
        if not (name == DENOISER and isinstance(session, DeviceSession)):
            self._bundle.replace_session(name, clock)
        return clock
