"""Judges pictures by their pixels alone: which colour and shape stand on which background."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageFilter

from .draw import BACKGROUNDS, COLORS, RELATIONS, SHAPES, Thing, draw_mask, square_crop
from .prompts import Request, read_caption

# Distances in RGB; the closest pair of an object's and a background's colour is about 110 apart.
CONTRAST = 55.0
# Farther than this from every named colour is no colour; the closest pair of names is 92 apart.
COLOR_REACH = 70.0
SMALLEST_AREA = 0.005
# Overlap over union with the ideal mask, and how far it must lead the next shape's; both matter, since a star that
# lost a pixel all around keeps 0.75 and leads by 0.1, while a circle and a square reach 0.79 with one another.
SHAPE_OVERLAP = 0.7
SHAPE_LEAD = 0.05
MASK_SIDE = 48
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Region:
    """One object as seen: names are "unknown" where nothing comes near; the centre is in [0, 1], y downward."""

    shape: str
    color: str
    x: float
    y: float
    area: float


@dataclass(frozen=True)
class Verdict:
    """Whether the picture shows what its prompt says of the main object, and of all objects and the background."""

    color: bool
    shape: bool
    scene: bool


@dataclass(frozen=True)
class Score:
    """Fractions of right pictures, in [0, 1]."""

    count: int
    color: float
    shape: float
    both: float
    scene: float


def judge(pairs: Iterable[tuple[str, np.ndarray]]) -> Score:
    """The score of (prompt, picture) pairs; pictures are uint8 RGB (height, width, 3), prompts as our captions."""
    verdicts = [compare(picture, read_caption(prompt)) for prompt, picture in pairs]
    if not verdicts:
        raise ValueError("no pictures to judge")

    def fraction(right: Iterable[bool]) -> float:
        return sum(right) / len(verdicts)

    return Score(
        count=len(verdicts),
        color=fraction(v.color for v in verdicts),
        shape=fraction(v.shape for v in verdicts),
        both=fraction(v.color and v.shape for v in verdicts),
        scene=fraction(v.scene for v in verdicts),
    )


def compare(picture: np.ndarray, request: Request) -> Verdict:
    """Hold a picture against a request; of two objects, the first named is where the relation puts it."""
    background, regions = see(picture)
    if not regions:
        return Verdict(False, False, False)
    if len(request.things) == 2:
        dx, dy = RELATIONS[request.relation or "and"]
        # The relation's direction points from the middle to the first object.
        regions[:2] = sorted(regions[:2], key=lambda region: -(dx * region.x + dy * region.y))
    things = [Thing(region.shape, region.color) for region in regions]
    first, wanted = things[0], request.things[0]
    ground = request.background in (None, background)
    return Verdict(first.color == wanted.color, first.shape == wanted.shape, ground and things == list(request.things))


def see(picture: np.ndarray) -> tuple[str, list[Region]]:
    """The background's name and the objects, largest first."""
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture is uint8 (height, width, 3), not {picture.dtype} {picture.shape}")
    # A median takes single noisy pixels away and keeps edges.
    pixels = np.asarray(Image.fromarray(picture).filter(ImageFilter.MedianFilter(3)), dtype=np.float32)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = np.median(border, axis=0)
    foreground = np.linalg.norm(pixels - ground, axis=2) > CONTRAST
    regions = [_describe(part, pixels) for part in _split(foreground) if part.mean() >= SMALLEST_AREA]
    regions.sort(key=lambda region: -region.area)
    return _nearest(ground, BACKGROUNDS), regions


def _describe(part: np.ndarray, pixels: np.ndarray) -> Region:
    rows, columns = np.nonzero(part)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    height, width = part.shape
    color = np.median(pixels[_inside(part)], axis=0)
    center = ((box[0] + box[2]) / 2 / width, (box[1] + box[3]) / 2 / height)
    return Region(_match_shape(part, box), _nearest(color, COLORS), *center, area=float(part.mean()))


def _match_shape(part: np.ndarray, box: tuple[int, int, int, int]) -> str:
    """The shape whose ideal mask overlaps best, if it overlaps well and clearly better than the next."""
    seen = square_crop(part, box, MASK_SIDE)
    overlaps = {name: (seen & ideal).sum() / (seen | ideal).sum() for name, ideal in _ideal_masks().items()}
    next_best, best = sorted(overlaps, key=lambda name: overlaps[name])[-2:]
    clear = overlaps[best] >= SHAPE_OVERLAP and overlaps[best] - overlaps[next_best] >= SHAPE_LEAD
    return best if clear else UNKNOWN


@cache
def _ideal_masks() -> dict[str, np.ndarray]:
    return {name: draw_mask(name, MASK_SIDE) for name in SHAPES}


def _nearest(color: np.ndarray, names: dict[str, tuple[int, int, int]]) -> str:
    distances = {name: float(np.linalg.norm(color - np.array(named))) for name, named in names.items()}
    best = min(distances, key=lambda name: distances[name])
    return best if distances[best] <= COLOR_REACH else UNKNOWN


def _inside(part: np.ndarray) -> np.ndarray:
    """The mask without its outermost pixels, whose colours are mixed; all of it if nothing else is left."""
    padded = np.pad(part, 1)
    inner = part & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inner if inner.any() else part


def _split(foreground: np.ndarray) -> list[np.ndarray]:
    """Connected parts (by edges): every pixel takes its neighbours' highest label until none changes."""
    labels = np.where(foreground, np.arange(1, foreground.size + 1).reshape(foreground.shape), 0)
    while True:
        padded = np.pad(labels, 1)
        around = [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:], labels]
        spread = np.where(foreground, np.maximum.reduce(around), 0)
        if (spread == labels).all():
            return [labels == label for label in np.unique(labels) if label]
        labels = spread
