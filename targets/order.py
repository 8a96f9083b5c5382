"""What a backend is asked to build of a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..runtime.errors import BadProfile
from ..runtime.session import BuildStep
from ..runtime.shapes import Shapes
from ..runtime.target import Target
from ..runtime.tensorrt.options import BuildOptions

Watch = Callable[[BuildStep], None]


def silent(step: BuildStep) -> None:
    """Watch nothing."""


@dataclass(frozen=True)
class Order:
    """For which target and sizes, and how.

    on_device: leave the engine to the machine that will run it, and give it ONNX that it can build it of.
    timings: the folder in which builds remember what they measured.  watch: is told each step of a long build.
    """

    target: Target
    shapes: Shapes
    tensorrt: BuildOptions = field(default_factory=BuildOptions)
    on_device: bool = False
    timings: Path | None = None
    watch: Watch = field(default=silent, compare=False)


def refuse_on_device(order: Order) -> None:
    """Raises BadProfile where engines are to be built on the device, by a backend whose artifacts run as they are."""
    if order.on_device:
        raise BadProfile(
            f"--build-on-device is for tensorrt; {order.target.backend} runs its artifacts as they are, anywhere"
        )
