"""Whether a bundle fits into a device's free memory, by the manifest's figures, before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .errors import OutOfMemory
from .manifest import Component
from .session import EngineOptions

STREAMS = "weight_streaming"  # of a plan's build: its weights need not all be on the device


def needed_bytes(components: Iterable[Component], residency: str) -> int:
    """Of device memory: weights, and the largest scratch, which all share.  What is not known counts as nothing."""
    sizes = [(part.memory.get("weights_bytes", 0), part.memory.get("scratch_bytes", 0)) for part in components]
    if not sizes:
        return 0
    if residency == "one":
        return max(weights + scratch for weights, scratch in sizes)
    return sum(weights for weights, _ in sizes) + max(scratch for _, scratch in sizes)


def check_room(components: Iterable[Component], options: EngineOptions, free_bytes: int) -> None:
    """Raises OutOfMemory where the components need more than is free, saying what would fit."""
    parts = [_least(part) for part in components]
    needed = needed_bytes(parts, options.residency)
    if needed <= free_bytes:
        return
    alone = needed_bytes(parts, "one")
    if options.residency == "all" and alone <= free_bytes:
        fits = f"--low-memory (residency one) needs {_gb(alone)}"
    else:
        fits = (
            "the profile small or --quantize int8 or int4 need less, and so does weight_streaming = true in a "
            "profile's table [tensorrt]"
        )
    raise OutOfMemory(f"the bundle needs {_gb(needed)} of the GPU's memory, and {_gb(free_bytes)} are free; {fits}")


def _least(part: Component) -> Component:
    """What it can do with: a plan that streams its weights needs none of them on the device at first."""
    if part.bound is not None and part.bound.options.get(STREAMS):
        return replace(part, memory={**part.memory, "weights_bytes": 0})
    return part


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
