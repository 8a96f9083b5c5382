"""Logarithm and exponential of float32 as torch rounds them: correctly, where NumPy's own float32 code is an ulp off.

High solver orders divide differences of these by powers of a small step, where one wrong bit becomes visible.
Each takes and gives a float32 array or number.
"""

from typing import Any

import numpy as np


def log(x: Any) -> Any:
    return np.log(x, dtype=np.float64).astype(np.float32)


def exp(x: Any) -> Any:
    return np.exp(x, dtype=np.float64).astype(np.float32)


def expm1(x: Any) -> Any:
    return np.expm1(x, dtype=np.float64).astype(np.float32)
