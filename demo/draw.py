"""Draws the pictures that the demo model learns: plain shapes on plain backgrounds."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SIZE = 128
OVERSAMPLING = 2

Color = tuple[int, int, int]
# What Pillow draws with: a colour, or one number in a picture of one channel.
Ink = Color | int

COLORS: dict[str, Color] = {
    "red": (220, 30, 35),
    "orange": (245, 135, 20),
    "yellow": (245, 225, 40),
    "green": (40, 160, 60),
    "cyan": (50, 205, 220),
    "blue": (35, 70, 215),
    "purple": (130, 45, 180),
    "pink": (250, 130, 190),
}
BACKGROUNDS: dict[str, Color] = {"white": (250, 250, 250), "gray": (150, 150, 150), "black": (12, 12, 12)}
SHAPES = ("circle", "square", "triangle", "star", "ring", "cross")
RADII = {"small": 0.15, "medium": 0.22, "large": 0.31}
POSITIONS = {"left": (-1, 0), "right": (1, 0), "top": (0, -1), "bottom": (0, 1), "center": (0, 0)}
# "and" puts the first object on the left, as one reads.
RELATIONS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1), "and": (-1, 0)}
PAIR_RADIUS = 0.17


@dataclass(frozen=True)
class Thing:
    """One coloured shape."""

    shape: str
    color: str


@dataclass(frozen=True)
class Scene:
    """One object with its size and place, or two objects (`other`) and how they stand."""

    background: str
    main: Thing
    size: str = "medium"
    position: str = "center"
    relation: str | None = None
    other: Thing | None = None


def draw(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """The scene as a picture, uint8 (128, 128, 3); place, size and colour waver a little."""
    side = SIZE * OVERSAMPLING
    ground = _waver(BACKGROUNDS[scene.background], rng)
    image = Image.new("RGB", (side, side), ground)
    canvas = ImageDraw.Draw(image)
    for thing, (x, y), radius in _layout(scene):
        center = (np.array([x, y]) + rng.uniform(-0.015, 0.015, 2)) * side
        reach = radius * rng.uniform(0.96, 1.04) * side
        _draw_shape(canvas, thing.shape, center, reach, _waver(COLORS[thing.color], rng), ground)
    pixels = np.asarray(image, dtype=np.float32)
    cells = pixels.reshape(SIZE, OVERSAMPLING, SIZE, OVERSAMPLING, 3)
    averaged: np.ndarray = np.rint(cells.mean(axis=(1, 3))).astype(np.uint8)
    return averaged


def draw_mask(shape: str, side: int) -> np.ndarray:
    """The shape alone, centred in its bounding box: bool (side, side), the longer edge fills it."""
    image = Image.new("L", (4 * side, 4 * side), 0)
    _draw_shape(ImageDraw.Draw(image), shape, np.array([2.0 * side, 2.0 * side]), 1.5 * side, 255, 0)
    box = image.getbbox()
    assert box is not None
    return square_crop(np.asarray(image) > 0, box, side)


def square_crop(mask: np.ndarray, box: tuple[int, int, int, int], side: int) -> np.ndarray:
    """The box (left, top, right, bottom) of a bool mask, centred in a square and resized to bool (side, side)."""
    left, top, right, bottom = box
    edge = max(right - left, bottom - top)
    frame = Image.new("L", (edge, edge), 0)
    part = Image.fromarray(mask[top:bottom, left:right].astype(np.uint8) * 255)
    frame.paste(part, ((edge - part.width) // 2, (edge - part.height) // 2))
    return np.asarray(frame.resize((side, side), Image.Resampling.BOX)) > 127


def _layout(scene: Scene) -> list[tuple[Thing, tuple[float, float], float]]:
    """Each object with its centre and radius, in fractions of the picture's edge."""
    if scene.other is None or scene.relation is None:
        radius = RADII[scene.size]
        offset = min(0.24, 0.46 - radius)
        dx, dy = POSITIONS[scene.position]
        return [(scene.main, (0.5 + offset * dx, 0.5 + offset * dy), radius)]
    dx, dy = RELATIONS[scene.relation]
    return [
        (scene.main, (0.5 + 0.24 * dx, 0.5 + 0.24 * dy), PAIR_RADIUS),
        (scene.other, (0.5 - 0.24 * dx, 0.5 - 0.24 * dy), PAIR_RADIUS),
    ]


def _waver(color: Color, rng: np.random.Generator) -> Color:
    red, green, blue = np.clip(np.array(color) + rng.integers(-4, 5), 0, 255).tolist()
    return red, green, blue


def _draw_shape(
    canvas: ImageDraw.ImageDraw, shape: str, center: np.ndarray, radius: float, fill: Ink, ground: Ink
) -> None:
    x, y = center

    def disc(reach: float, color: Ink) -> None:
        canvas.ellipse((x - reach, y - reach, x + reach, y + reach), fill=color)

    if shape == "circle":
        disc(radius, fill)
    elif shape == "ring":
        disc(radius, fill)
        disc(0.55 * radius, ground)
    elif shape == "square":
        half = 0.88 * radius
        canvas.rectangle((x - half, y - half, x + half, y + half), fill=fill)
    elif shape == "cross":
        long, short = radius, 0.34 * radius
        canvas.rectangle((x - long, y - short, x + long, y + short), fill=fill)
        canvas.rectangle((x - short, y - long, x + short, y + long), fill=fill)
    elif shape == "triangle":
        canvas.polygon(_corners(x, y + 0.2 * radius, [1.15 * radius] * 3), fill=fill)
    elif shape == "star":
        canvas.polygon(_corners(x, y + 0.05 * radius, [1.1 * radius, 0.48 * radius] * 5), fill=fill)
    else:
        raise ValueError(f"unknown shape {shape!r}; known: {', '.join(SHAPES)}")


def _corners(x: float, y: float, radii: list[float]) -> list[tuple[float, float]]:
    """Points around (x, y) at these radii, evenly spaced in angle, the first straight up."""
    angles = [2 * math.pi * i / len(radii) for i in range(len(radii))]
    return [(x + r * math.sin(a), y - r * math.cos(a)) for r, a in zip(radii, angles, strict=True)]
