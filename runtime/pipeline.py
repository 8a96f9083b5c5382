"""What every pipeline offers its caller."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from .denoise import Step

if TYPE_CHECKING:
    from PIL.Image import Image

    from .manifest import Manifest

Printing = Generator[Step, None, "Images"]


@dataclass(frozen=True)
class Images:
    """What a call gives: the pictures, and all it takes to make them again."""

    images: list[Image]
    seeds: list[int]
    settings: dict[str, Any]


class Pipeline(Protocol):
    """Text in, images out."""

    @property
    def manifest(self) -> Manifest: ...

    def prepare(self) -> None:
        """Load the engines for the usual size, so that the first call is as fast as the next."""

    def generate(self, prompt: str | list[str], **request: Any) -> Printing:
        """Yield each denoising step as it ends; the generator's return value is the Images."""

    def __call__(
        self, prompt: str | list[str], *, callback: Callable[[Step], None] | None = None, **request: Any
    ) -> Images:
        """Run `generate` to its end; callback sees each Step."""

    def close(self) -> None:
        """Give the memory back."""


def finish(printing: Printing, on_step: Callable[[Step], None] | None = None) -> Images:
    """Run a generator of steps to its end and return what it made."""
    while True:
        try:
            step = next(printing)
        except StopIteration as stop:
            made: Images = stop.value
            return made
        if on_step is not None:
            on_step(step)
