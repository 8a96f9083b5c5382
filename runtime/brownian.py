"""Brownian motion of a seed, the same whichever points are asked for: the noise of DPM++ SDE."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .random import TorchGenerator

# torchsde rounds time to multiples of tol = 1e-6, and mixes seeds in a pool of 24 words, as Diffusers calls it.
DIGITS = 6
POOL_SIZE = 24


@dataclass(frozen=True)
class _Interval:
    """A node of the tree of halved intervals: from start to end, and the motion over it."""

    start: float
    end: float
    motion: np.ndarray
    key: int = 0
    depth: int = 0


class BrownianTree:
    """torchsde.BrownianInterval(t0=start, t1=end, size=shape, entropy=seed, tol=1e-6, pool_size=24, halfway_tree=True).

    Each interval has a seed of its own, by NumPy's SeedSequence in torchsde too, for torch.randn.
    Source: torchsde 0.2.6, _brownian/brownian_interval.py.
    """

    def __init__(self, seed: int, start: float, end: float, shape: Sequence[int]) -> None:
        self.seed = seed
        self.shape = tuple(shape)
        word = np.random.SeedSequence(seed, pool_size=POOL_SIZE).generate_state(3)[0]
        motion = self._randn(word) * np.float32(math.sqrt(end - start))
        self._root = _Interval(round(start, DIGITS), round(end, DIGITS), motion)

    def increment(self, start: float, end: float) -> np.ndarray:
        """The motion from start to end, float32; what lies outside of the tree's own interval is cut off."""
        low, high = (min(max(time, self._root.start), self._root.end) for time in (start, end))
        if low == high:
            return np.zeros(self.shape, dtype=np.float32)
        return self._increment(self._root, round(low, DIGITS), round(high, DIGITS))

    def _increment(self, node: _Interval, start: float, end: float) -> np.ndarray:
        if start == node.start and end == node.end:
            return node.motion
        middle = round(0.5 * (node.end + node.start), DIGITS)
        left, right = self._halves(node, middle)
        if end <= middle:
            return self._increment(left, start, end)
        if start >= middle:
            return self._increment(right, start, end)
        return self._increment(left, start, middle) + self._increment(right, middle, end)

    def _halves(self, node: _Interval, middle: float) -> tuple[_Interval, _Interval]:
        mixed = np.random.SeedSequence(self.seed, spawn_key=(node.key, node.depth), pool_size=POOL_SIZE)
        before, after = middle - node.start, node.end - middle
        share = 1 / (node.end - node.start)
        mean = np.float32(before) * node.motion * np.float32(share)
        left = mean + np.float32(math.sqrt(before * after * share)) * self._randn(mixed.generate_state(4)[0])
        depth = node.depth + 1
        return (
            _Interval(node.start, middle, left, 2 * node.key, depth),
            _Interval(middle, node.end, node.motion - left, 2 * node.key + 1, depth),
        )

    def _randn(self, word: np.uint32) -> np.ndarray:
        return TorchGenerator(int(word)).randn(self.shape)
