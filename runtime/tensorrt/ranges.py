"""The sizes that an engine is built for, as TensorRT's optimization profiles have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..manifest import TILED, Component
from ..shapes import ShapeRange, Shapes, range_of


@dataclass(frozen=True)
class InputRange:
    """The shapes of one input: the smallest, the usual, which kernels are chosen for, and the largest."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


def input_ranges(component: Component, shapes: Shapes, one: bool = False) -> list[dict[str, InputRange]]:
    """One set of ranges, by input, for each size of a list, in its order; or one for ranges of sizes.

    The VAE's halves get one more set, for its tiles, which may be as small as what one latent stands for.
    one: a single set, which holds all of that.
    """
    whole = component.extents(shapes)
    sets: list[Mapping[str, ShapeRange]] = [
        {**whole, "height": ShapeRange(height, height, height), "width": ShapeRange(width, width, width)}
        for height, width in shapes.sizes
        if not one
    ]
    if not sets or component.name in TILED:
        sets.append(whole)
    return [_of_inputs(component, words) for words in sets]


def fitting(sets: list[dict[str, InputRange]], given: Mapping[str, tuple[int, ...]]) -> int | None:
    """The first set that holds these shapes, or None."""
    for index, ranges in enumerate(sets):
        if all(_within(given[name], found) for name, found in ranges.items() if name in given):
            return index
    return None


def _within(shape: tuple[int, ...], found: InputRange) -> bool:
    if len(shape) != len(found.min):
        return False
    return all(least <= size <= most for least, size, most in zip(found.min, shape, found.max, strict=True))


def _of_inputs(component: Component, words: Mapping[str, ShapeRange]) -> dict[str, InputRange]:
    found = {}
    for spec in component.inputs:
        dims = [range_of(dim, _wide(words, dim)) for dim in spec.dims]
        found[spec.name] = InputRange(*(tuple(getattr(dim, side) for dim in dims) for side in ("min", "opt", "max")))
    return found


def _wide(words: Mapping[str, ShapeRange], dim: int | str) -> Mapping[str, ShapeRange]:
    """Kernels are chosen for the call that a run makes most often, with guidance: the most rows."""
    if dim != "batch":
        return words
    rows = words["batch"]
    return {**words, "batch": replace(rows, opt=rows.max)}
