"""The picture sizes, batches and prompts that a bundle was built for, and what they mean for each tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .errors import BadRequest

Dim = int | str
TOKENS = 77  # of one chunk of a prompt: what CLIP reads at once, its begin and end among them
MOST_CHUNKS = 16


@dataclass(frozen=True)
class ShapeRange:
    """Smallest, usual and largest size of one dimension; equal values mean static."""

    min: int
    opt: int
    max: int

    def __post_init__(self) -> None:
        if not 0 < self.min <= self.opt <= self.max:
            raise ValueError(f"need 0 < min <= opt <= max, got {self.min}, {self.opt}, {self.max}")


@dataclass(frozen=True)
class Shapes:
    """Either a list of picture sizes, each run with static shapes, or one range for each side.

    sizes: (height, width) in pixels; the first is the default.  height, width: ranges in pixels, in place of sizes.
    batch: images in one call of the denoiser.  guidance: "batch" puts the two halves of classifier-free guidance into
    one call of twice the batch; "split" makes two calls and needs less memory.
    prompt_chunks: how many chunks of 77 tokens a prompt may have, 1 to 16; 1 cuts a long prompt as CLIP does.
    """

    sizes: tuple[tuple[int, int], ...] = ()
    height: ShapeRange | None = None
    width: ShapeRange | None = None
    batch: int = 1
    guidance: Literal["batch", "split"] = "batch"
    prompt_chunks: int = 4

    def __post_init__(self) -> None:
        ranges = (self.height, self.width)
        if bool(self.sizes) == any(ranges) or any(ranges) != all(ranges):
            raise ValueError("give either sizes, or both height and width as ranges")
        if self.batch < 1 or any(side < 1 for size in self.sizes for side in size):
            raise ValueError("batch and sizes must be positive")
        if not 1 <= self.prompt_chunks <= MOST_CHUNKS:
            raise ValueError(f"prompt_chunks is {self.prompt_chunks}; it must be from 1 to {MOST_CHUNKS}")

    @property
    def default_size(self) -> tuple[int, int]:
        """(height, width) where a call names none."""
        if self.height and self.width:
            return self.height.opt, self.width.opt
        return self.sizes[0]

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """Sizes that stand for all: the whole list, or the smallest, usual and largest of the ranges."""
        if self.height and self.width:
            height, width = self.height, self.width
            return (height.min, width.min), (height.opt, width.opt), (height.max, width.max)
        return self.sizes

    def check_size(self, height: int, width: int, multiple: int) -> None:
        """Raises BadRequest unless (height, width) was built for and both divide by `multiple`."""
        if self.height and self.width:
            allowed = f"height {self.height.min} to {self.height.max}, width {self.width.min} to {self.width.max}"
            fits = self.height.min <= height <= self.height.max and self.width.min <= width <= self.width.max
        else:
            allowed = ", ".join(f"{h}x{w}" for h, w in self.sizes)
            fits = (height, width) in self.sizes
        if not fits:
            raise BadRequest(f"this bundle was built for {allowed} (height x width), not {height}x{width}")
        if height % multiple or width % multiple:
            raise BadRequest(f"height and width must be multiples of {multiple}, got {height}x{width}")

    def extents(self, rows: tuple[int, ...]) -> dict[str, ShapeRange]:
        """What each dimension word may be.  rows: the batch sizes that the component is called with."""
        heights = self.height or _spread([height for height, _ in self.sizes])
        widths = self.width or _spread([width for _, width in self.sizes])
        tokens = ShapeRange(TOKENS, TOKENS, TOKENS * self.prompt_chunks)
        return {"batch": _spread(list(rows)), "height": heights, "width": widths, "tokens": tokens}


def size_of(dim: Dim, words: Mapping[str, int]) -> int:
    """The number behind an int, a word (`batch`) or a word over a divisor (`height/8`)."""
    if isinstance(dim, int):
        return dim
    word, _, divisor = dim.partition("/")
    return words[word] // int(divisor or 1)


def range_of(dim: Dim, words: Mapping[str, ShapeRange]) -> ShapeRange:
    """The range behind an int, a word or a word over a divisor."""
    sides = [size_of(dim, {word: getattr(extent, side) for word, extent in words.items()}) for side in _SIDES]
    return ShapeRange(*sides)


_SIDES = ("min", "opt", "max")


def _spread(values: list[int]) -> ShapeRange:
    return ShapeRange(min(values), values[0], max(values))
