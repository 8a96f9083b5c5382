"""A VAE run in overlapping tiles, so that the memory of a large picture stays that of one tile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Network = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Tiles:
    """The side of a tile in pixels and in latents; neighbours share a quarter of it, where one fades into the other.

    Raises ValueError unless latents divide by four and pixels by latents: else Diffusers' tiles don't meet.
    """

    pixels: int
    latents: int

    def __post_init__(self) -> None:
        if self.latents < 4 or self.latents % 4 or self.pixels < 1 or self.pixels % self.latents:
            raise ValueError(
                f"a tile is {self.pixels} pixels and {self.latents} latents wide; "
                "latents must be a multiple of 4, and pixels a multiple of latents"
            )


def decode_in_tiles(decode: Network, latents: np.ndarray, tiles: Tiles) -> np.ndarray:
    """(n, channels, h, w) -> (n, 3, height, width), as Diffusers' AutoencoderKL with enable_tiling().

    decode: of one tile, tiles.latents or fewer wide and high; used once where everything fits into one.
    """
    return _in_tiles(decode, latents, tiles.latents, tiles.pixels)


def encode_in_tiles(encode: Network, samples: np.ndarray, tiles: Tiles) -> np.ndarray:
    """(n, 3, height, width) -> (n, 2 * channels, h, w), mean and log variance, as AutoencoderKL with enable_tiling().

    encode: of one tile, tiles.pixels or fewer wide and high; used once where everything fits into one.
    height, width: multiples of the pixels in a latent.
    """
    return _in_tiles(encode, samples, tiles.pixels, tiles.latents)


def _in_tiles(network: Network, x: np.ndarray, side: int, made_side: int) -> np.ndarray:
    """side, made_side: of a tile that goes in and of what comes out of it."""
    height, width = x.shape[2:]
    if height <= side and width <= side:
        return network(x)
    step, fade = side - side // 4, made_side // 4
    made_step = made_side - fade
    whole: np.ndarray | None = None
    above: list[np.ndarray] = []  # the lower edges of the row before, all that the next row needs of it
    for row, top in enumerate(range(0, height, step)):
        edges: list[np.ndarray] = []
        left: np.ndarray | None = None
        for column, start in enumerate(range(0, width, step)):
            # A copy, for an engine may own what it gives.
            tile = np.array(network(np.ascontiguousarray(x[:, :, top : top + side, start : start + side])))
            if above:
                _fade(above[column], tile)
            if left is not None:
                _fade(left.swapaxes(2, 3), tile.swapaxes(2, 3))
            edges.append(tile[:, :, -fade:].copy())
            left = tile[:, :, :, -fade:]
            if whole is None:
                made = (height * made_side // side, width * made_side // side)
                whole = np.empty((*tile.shape[:2], *made), tile.dtype)
            kept = tile[:, :, :made_step, :made_step]
            room = whole[:, :, row * made_step :, column * made_step :]
            room[:, :, : kept.shape[2], : kept.shape[3]] = kept
        above = edges
    assert whole is not None
    return whole


def _fade(before: np.ndarray, tile: np.ndarray) -> None:
    """Let the last rows of `before` fade into the first of `tile`, in place; as many as both have."""
    extent = min(before.shape[2], tile.shape[2])
    share = (np.arange(extent) / extent)[:, None]
    first = tile[:, :, :extent]
    first[...] = before[:, :, -extent:] * (1 - share).astype(tile.dtype) + first * share.astype(tile.dtype)
