"""A picture to start from, where a model can only go on from one."""

from __future__ import annotations

import numpy as np
from PIL import Image


def start_picture(height: int, width: int) -> Image.Image:
    """Two discs, light and dark, before a sky of two gradients: the same pixels for the same size, everywhere.

    height, width: pixels.
    """
    down = np.linspace(0.0, 1.0, height, dtype=np.float32)[:, None]
    right = np.linspace(0.0, 1.0, width, dtype=np.float32)[None, :]
    even = np.ones((height, width), np.float32)
    picture = np.stack([right * even, down * even, (1 - down) * even], axis=-1)
    for (top, left), radius, colour in _DISCS:
        inside = (down - np.float32(top)) ** 2 + (right - np.float32(left)) ** 2 < np.float32(radius) ** 2
        picture[inside] = colour
    return Image.fromarray(np.rint(picture * 255).astype(np.uint8))


# Centre (down, right) and radius as shares of the sides; red, green, blue.
_DISCS = (((0.35, 0.3), 0.2, (1.0, 0.9, 0.6)), ((0.7, 0.65), 0.25, (0.1, 0.15, 0.3)))
