"""Random noise: the normal numbers that torch.Generator gives for a seed, without torch."""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from .errors import BadRequest


class Generator(Protocol):
    """A seeded source of noise; draws follow each other as they do in torch."""

    def randn(self, shape: Sequence[int], dtype: type[np.floating] = np.float32) -> np.ndarray: ...


class TorchGenerator:
    """The noise of torch.Generator("cpu").manual_seed(seed), draw for draw, in float32 or float16.

    The random bits are torch's own; logarithm, sine and cosine are NumPy's, so a value may differ in its last bits: by
    up to 1e-6 from torch with AVX2, and by 3e-6 from torch without, which rounds the angle elsewhere.
    Raises BadRequest for a seed that torch refuses: below -2**63 or from 2**64 on.
    Source: ATen/core/DistributionsHelper.h, ATen/native/cpu/DistributionTemplates.h.
    """

    def __init__(self, seed: int) -> None:
        self.seed = check_seed(seed)
        # torch seeds MT19937 with the low 32 bits, by init_genrand, as NumPy's legacy generator does.
        self._bits = np.random.RandomState(seed % 2**32)
        self._spare: float | None = None

    def randn(self, shape: Sequence[int], dtype: type[np.floating] = np.float32) -> np.ndarray:
        """The next standard normal numbers, as torch.randn(shape, generator=..., dtype=...)."""
        count = math.prod(shape)
        values = self._few(count) if count < 16 else self._many(count, halves=dtype is np.float16)
        return values.reshape(tuple(shape)).astype(dtype, copy=False)

    def _many(self, count: int, halves: bool) -> np.ndarray:
        """16 numbers or more, in blocks of 16.  halves: for float16, which torch rounds from the same float32."""
        whole = count - count % 16
        # In float32, torch draws for the unfinished block too, and then anew; in float16 only anew.
        uniforms = self._uniforms(whole if halves else count)
        values = np.empty(count, dtype=np.float32)
        values[:whole] = _box_muller(uniforms[:whole])
        if whole != count:
            # What is left over does not fill a block: torch draws the last 16 values anew.
            values[-16:] = _box_muller(self._uniforms(16))
        return values

    def _few(self, count: int) -> np.ndarray:
        """Under 16 numbers: pairs in double precision; the second of a pair may wait for the next such draw."""
        values = np.empty(count, dtype=np.float32)
        for i in range(count):
            if self._spare is not None:
                values[i], self._spare = self._spare, None
                continue
            angle = 2.0 * math.pi * self._uniform_double()
            radius = math.sqrt(-2.0 * math.log1p(-self._uniform_double()))
            values[i], self._spare = radius * math.cos(angle), radius * math.sin(angle)
        return values

    def _uniforms(self, count: int) -> np.ndarray:
        words = self._bits.randint(0, 2**32, size=count, dtype=np.uint32)
        return (words & np.uint32(0xFFFFFF)).astype(np.float32) * np.float32(2.0**-24)

    def _uniform_double(self) -> float:
        high, low = (int(word) for word in self._bits.randint(0, 2**32, size=2, dtype=np.uint32))
        return ((high << 32 | low) & (2**53 - 1)) * 2.0**-53


def check_seed(seed: int) -> int:
    """The seed as torch's 64 bits without a sign.  Raises BadRequest for one that torch refuses."""
    if not -(2**63) <= seed < 2**64:
        raise BadRequest(f"seed {seed} is out of range; it must be from -2**63 to 2**64 - 1")
    return seed % 2**64


def randn_tensor(
    shape: Sequence[int], generators: Generator | Sequence[Generator], dtype: type[np.floating] = np.float32
) -> np.ndarray:
    """Noise for a batch; of several generators each draws its own image, as in Diffusers.

    shape: (batch, ...).  One generator, alone or in a sequence, draws the whole batch at once.
    Raises BadRequest if there are several and not one for each image.
    Source: diffusers.utils.torch_utils.randn_tensor.
    """
    if not isinstance(generators, Sequence):
        return generators.randn(shape, dtype)
    if len(generators) == 1:
        return generators[0].randn(shape, dtype)
    if len(generators) != shape[0]:
        raise BadRequest(f"{len(generators)} generators for a batch of {shape[0]}; give one, or one for each image")
    return np.concatenate([generator.randn((1, *shape[1:]), dtype) for generator in generators])


def _box_muller(uniforms: np.ndarray) -> np.ndarray:
    """As many normal numbers of uniforms in [0, 1); of each block of 16, 8 are radii and 8 are angles."""
    blocks = uniforms.reshape(-1, 2, 8)
    radius = np.sqrt(np.float32(-2.0) * np.log(np.float32(1.0) - blocks[:, 0]))
    angle = np.float32(2.0 * math.pi) * blocks[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
