"""The noise of a CUDA device: the normal numbers that torch.Generator("cuda") gives for a seed."""

import math
from collections.abc import Sequence

import numpy as np

from .random import check_seed

BLOCK_THREADS = 256
ROUNDS = 10
MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], dtype=np.uint64)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
# curand_normal.h: 2**-32, and 2 pi times it, in float32.
UNIT = np.float32(2.0**-32)
TURN = np.float32(2.0**-32) * np.float32(6.2831855)


class PhiloxGenerator:
    """The noise of torch.Generator("cuda").manual_seed(seed), draw for draw.

    Written from torch's and cuRAND's sources; never compared with a GPU. The random bits are exact; the device's fast
    sine and cosine are coarser than NumPy's, so that values differ by up to about 1e-6 times a radius of up to 6.7.
    multiprocessors, threads: of the GPU, and how many threads one of them holds (2048 on H100 and A100, 1536 on
    RTX 30 to 50, 1024 on RTX 20). They count for draws of more values than the GPU holds threads: 270336 on the H100
    that is the default, so that smaller GPUs differ on large pictures, as they do in torch.
    Raises BadRequest for a seed that torch refuses.
    Source: ATen/native/cuda/DistributionTemplates.h, curand_philox4x32_x.h and curand_normal.h; Salmon et al. 2011.
    """

    def __init__(self, seed: int, multiprocessors: int = 132, threads: int = 2048) -> None:
        self.seed = check_seed(seed)
        self._largest_grid = multiprocessors * (threads // BLOCK_THREADS)
        self._offset = 0

    def randn(self, shape: Sequence[int], dtype: type[np.floating] = np.float32) -> np.ndarray:
        """The next standard normal numbers, as torch.randn(shape, generator=..., dtype=..., device="cuda")."""
        count = math.prod(shape)
        if count == 0:
            return np.empty(tuple(shape), dtype=dtype)
        # One thread a value, and a second round only where the values outnumber the threads four to one.
        grid = min(-(-count // BLOCK_THREADS), self._largest_grid)
        rounds = -(-count // (4 * BLOCK_THREADS * grid))
        parts = [self._round(BLOCK_THREADS * grid, self._offset + i) for i in range(rounds)]
        self._offset += rounds
        return np.concatenate(parts)[:count].reshape(tuple(shape)).astype(dtype)

    def _round(self, threads: int, offset: int) -> np.ndarray:
        """Four values of each thread, the first of every thread first; each thread is a subsequence of its own."""
        counters = np.zeros((4, threads), dtype=np.uint64)
        counters[0], counters[1] = offset % 2**32, offset >> 32
        counters[2] = np.arange(threads)
        words = philox(counters, (self.seed % 2**32, self.seed >> 32))
        return np.concatenate([*_box_muller(words[0], words[1]), *_box_muller(words[2], words[3])])


def philox(counters: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Philox 4x32 with ten rounds, (4, n) uint64 words below 2**32 -> the same."""
    words = counters
    low = np.uint64(0xFFFFFFFF)
    for i in range(ROUNDS):
        keys = [np.uint64((start + i * step) % 2**32) for start, step in zip(key, KEY_STEPS, strict=True)]
        first, second = words[0] * MULTIPLIERS[0], words[2] * MULTIPLIERS[1]
        high = np.uint64(32)
        words = np.stack(
            [second >> high ^ words[1] ^ keys[0], second & low, first >> high ^ words[3] ^ keys[1], first & low]
        )
    return words


def _box_muller(radial: np.ndarray, angular: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two normal numbers of two words, float32, the sine first; products and sums are rounded together, as on a GPU."""
    u = (radial.astype(np.float32).astype(np.float64) * UNIT + UNIT / 2).astype(np.float32)
    v = (angular.astype(np.float32).astype(np.float64) * TURN + TURN / 2).astype(np.float32)
    radius = np.sqrt(np.float32(-2.0) * np.log(u))
    return radius * np.sin(v), radius * np.cos(v)
