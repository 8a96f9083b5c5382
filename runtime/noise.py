"""The noise of one call, in Diffusers' order of draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .philox import PhiloxGenerator
from .random import Generator, TorchGenerator, randn_tensor

GENERATORS = {"cpu": TorchGenerator, "cuda": PhiloxGenerator}


class NoiseSource:
    """Seeded generators, one for a whole batch or one for each image of it.

    dtype: in which the numbers are drawn; they come as float32 all the same.
    """

    def __init__(self, seeds: Sequence[int], generator: str = "cpu", dtype: type[np.floating] = np.float32) -> None:
        self._generators: list[Generator] = [GENERATORS[generator](seed) for seed in seeds]
        self._dtype = dtype

    @property
    def several(self) -> bool:
        """Whether each image has a generator of its own."""
        return len(self._generators) > 1

    def draw(self, shape: tuple[int, ...]) -> np.ndarray:
        """The next unit noise, float32, (rows, ...).

        Of several generators the first ones draw a row each, as Diffusers' pipelines do for fewer pictures than images.
        """
        return randn_tensor(shape, self._generators[: shape[0]], self._dtype).astype(np.float32, copy=False)
