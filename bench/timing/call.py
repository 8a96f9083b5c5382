"""One call that every subject of a measurement gets alike."""

from __future__ import annotations

from dataclasses import dataclass

LEAST_STEPS = 3  # image to image leaves some out, and the first is not timed


@dataclass(frozen=True)
class Call:
    """What is printed.  height, width: pixels.  images: of one prompt, at once.  steps: LEAST_STEPS or more.

    scheduler: our name, or None for the checkpoint's own.
    """

    prompt: str
    seed: int
    steps: int
    guidance_scale: float
    height: int
    width: int
    images: int = 1
    scheduler: str | None = None

    @property
    def pixels(self) -> int:
        """Of all its images."""
        return self.images * self.height * self.width

    def __str__(self) -> str:
        many = f"{self.images} x " if self.images > 1 else ""
        return f"{many}{self.height}x{self.width}, {self.steps} steps"
