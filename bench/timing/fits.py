"""How the time of a step grows with the work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Fit:
    """seconds = fixed_s + per_megapixel_s * megapixels, by least squares of the relative errors.

    exponent: of the line through the logarithms: 1 where time grows as the pixels, more where attention rules.
    worst: the largest error of the first form, as a share of the time.
    """

    fixed_s: float
    per_megapixel_s: float
    exponent: float
    worst: float


def fit(megapixels: Sequence[float], seconds: Sequence[float]) -> Fit | None:
    """None for fewer than three different amounts of work: a line through two fits whatever they are."""
    x, y = np.asarray(megapixels, np.float64), np.asarray(seconds, np.float64)
    if len(np.unique(x)) < 3:
        return None
    terms = np.stack([np.ones_like(x), x], axis=1) / y[:, None]
    (fixed, slope), *_ = np.linalg.lstsq(terms, np.ones_like(y), rcond=None)
    exponent = np.polyfit(np.log(x), np.log(y), 1)[0]
    worst = np.max(np.abs(fixed + slope * x - y) / y)
    return Fit(float(fixed), float(slope), float(exponent), float(worst))
