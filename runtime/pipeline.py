"""What every pipeline offers its caller."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .denoise import Step

if TYPE_CHECKING:
    from PIL.Image import Image

    from .manifest import Manifest

# Yields every step; what is sent back stops the run where it is true.
Printing = Generator[Step, bool | None, "Images"]
Callback = Callable[[Step], bool | None]


@dataclass(frozen=True)
class Images:
    """What a call gives: the pictures, and all it takes to make them again.

    images: PIL, or by output_type (images, height, width, 3) float32 in [0, 1], or latents, (images, channels, h, w).
    settings: the arguments with their defaults filled in, and the bundle's own words.
    notes: what a caller should know, such as a prompt that was cut.
    """

    images: list[Image] | np.ndarray
    seeds: list[int]
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()


class Pipeline(Protocol):
    """Text in, images out."""

    @property
    def manifest(self) -> Manifest: ...

    def prepare(self) -> None:
        """Load the engines for the usual size, so that the first call is as fast as the next."""

    def generate(self, prompt: str | list[str], **request: Any) -> Printing:
        """Yield each denoising step as it ends; the generator's return value is the Images.

        A true value sent to the generator ends the run there; the pictures are those of the steps that were done.
        """

    def __call__(self, prompt: str | list[str], *, callback: Callback | None = None, **request: Any) -> Images:
        """Run `generate` to its end; callback sees each Step, and stops the run by returning True."""

    def close(self) -> None:
        """Give the memory back."""


def finish(printing: Printing, on_step: Callback | None = None) -> Images:
    """Run a generator of steps to its end and return what it made."""
    try:
        step = next(printing)
        while True:
            step = printing.send(None if on_step is None else on_step(step))
    except StopIteration as end:
        made: Images = end.value
        return made
