"""Scales in 8 bits in place of 32, as bitsandbytes' double quantization has them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

BLOCK = 256  # scales that share one of their own
PLACES = 65535  # steps from -1 to 1 that a scale is first rounded to; a code is looked up by its place


@dataclass(frozen=True)
class Doubled:
    """A scale is levels()[code] * size of its block + offset.

    codes: (scales,) uint8.  sizes: (blocks,) float32.
    """

    codes: np.ndarray
    sizes: np.ndarray
    offset: np.float32


def double(scales: np.ndarray, offset: np.float32 | None = None) -> Doubled:
    """scales: (n,) float32.  offset: None: their mean.

    The bytes are those of bitsandbytes 0.50 on a CPU, but for the mean's last bit: it sums in an order that depends on
    the processor.
    """
    middle = np.float32(scales.mean(dtype=np.float64)) if offset is None else offset
    blocks = np.pad(scales - middle, (0, -len(scales) % BLOCK)).reshape(-1, BLOCK)
    sizes = np.abs(blocks).max(1)
    with np.errstate(invalid="ignore"):
        inner = np.where(sizes[:, None] > 0, blocks / sizes[:, None], np.float32(-1))
    places = (inner + np.float32(1)) * np.float32(0.5) * np.float32(PLACES) + np.float32(0.5)
    return Doubled(_codes_of_places()[places.astype(np.int64)].reshape(-1)[: len(scales)], sizes, middle)


@cache
def levels() -> np.ndarray:
    """(256,) float32, ascending: seven powers of ten on either side of 0, each with twice the levels of the one below.

    Source: Dettmers 2016, arXiv:1511.04561, dynamic tree quantization; in bitsandbytes create_dynamic_map.
    """
    found = [np.zeros(1, np.float32), np.ones(1, np.float32)]
    for power in range(7):
        bounds = _evenly(2**power + 1)
        means = (bounds[:-1] + bounds[1:]) / np.float32(2) * np.float32(10 ** (power - 6))
        found += [means, -means]
    return np.sort(np.concatenate(found))


def _evenly(count: int) -> np.ndarray:
    """torch.linspace(0.1, 1, count) in float32: counted from the nearer end, each sum rounded once."""
    low, high = np.float32(0.1), np.float32(1)
    step = float((high - low) / np.float32(count - 1))
    index = np.arange(count)
    rising, falling = float(low) + step * index, float(high) - step * (count - 1 - index)
    return np.where(index < count // 2, rising, falling).astype(np.float32)


@cache
def _codes_of_places() -> np.ndarray:
    """(65536,) uint8: the code nearest to each place."""
    ascending = levels().astype(np.float64)
    places = np.arange(PLACES + 1) / PLACES * 2 - 1
    return np.searchsorted((ascending[1:] + ascending[:-1]) / 2, places).astype(np.uint8)
