"""Where the steps of a run lie: timesteps spread over the training schedule, or sigmas by a formula of their own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from .errors import BadRequest

Spacing = Literal["linspace", "leading", "trailing"]
FinalSigma = Literal["zero", "sigma_min"]
# Timesteps or sigmas of the user's own, (steps,) float64, descending.
Given = np.ndarray | None


@dataclass(frozen=True)
class SigmaConfig:
    """Which sigmas a run takes, as in scheduler_config.json; none of the formulas means those of its timesteps.

    sigma_min, sigma_max: ends of a formula, instead of those of the training schedule.
    """

    # LMS and DPM++ SDE of Diffusers read sigma_min and sigma_max for the other formulas, but not for Karras'.
    karras_has_limits: ClassVar[bool] = True

    use_karras_sigmas: bool = False
    use_exponential_sigmas: bool = False
    use_beta_sigmas: bool = False
    sigma_min: float | None = None
    sigma_max: float | None = None

    def __post_init__(self) -> None:
        if self.use_karras_sigmas + self.use_exponential_sigmas + self.use_beta_sigmas > 1:
            raise ValueError("only one of use_karras_sigmas, use_exponential_sigmas and use_beta_sigmas can be on")

    def has_formula(self) -> bool:
        return self.use_karras_sigmas or self.use_exponential_sigmas or self.use_beta_sigmas

    def formula_sigmas(self, low: float, high: float, steps: int) -> np.ndarray:
        """Sigmas by the formula that is on, float64, descending, from high to low if the config sets no limits."""
        if self.karras_has_limits or not self.use_karras_sigmas:
            low = low if self.sigma_min is None else self.sigma_min
            high = high if self.sigma_max is None else self.sigma_max
        if not 0 < low < high and steps > 1:
            raise BadRequest(f"sigma_min is {low:g} and sigma_max {high:g}; they must be positive and ascend")
        if self.use_karras_sigmas:
            return karras_sigmas(low, high, steps)
        return exponential_sigmas(low, high, steps) if self.use_exponential_sigmas else beta_sigmas(low, high, steps)


def spaced_timesteps(spacing: Spacing, train_steps: int, steps: int, offset: int) -> np.ndarray:
    """Timesteps from noise to image, float64, not rounded.

    "trailing" may give steps + 1 of them, the last one -1, where train_steps / steps is no whole number (61 of 1000):
    so it is in Diffusers.  offset counts for "leading" alone.
    Source: Lin et al. 2023, arXiv:2305.08891, table 2.
    """
    if spacing == "linspace":
        return np.linspace(0, train_steps - 1, steps)[::-1]
    if spacing == "leading":
        return (np.arange(steps) * (train_steps // steps))[::-1] + float(offset)
    return np.arange(train_steps, 0, -train_steps / steps).round() - 1


def given_timesteps(timesteps: np.ndarray, train_steps: int) -> np.ndarray:
    """The user's own timesteps, descending.  Raises BadRequest unless they lie within the training schedule."""
    if timesteps[0] > train_steps - 1 or timesteps[-1] < 0:
        ends = f"{timesteps[0]:g} to {timesteps[-1]:g}"
        raise BadRequest(f"timesteps go from {ends}; they must lie from {train_steps - 1} to 0")
    return timesteps


def whole_timesteps(timesteps: np.ndarray, train_steps: int) -> np.ndarray:
    """The same for schedulers at whole training steps, int64."""
    values = given_timesteps(timesteps, train_steps)
    if (values != values.round()).any():
        raise BadRequest(f"timesteps is {timesteps.tolist()}; this scheduler takes whole ones")
    return values.astype(np.int64)


def descending(values: Sequence[float], name: str) -> np.ndarray:
    """The numbers as float64.  Raises BadRequest if there are none, or not each smaller than the one before."""
    numbers = np.asarray(values, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size == 0 or not np.isfinite(numbers).all() or (np.diff(numbers) >= 0).any():
        raise BadRequest(f"{name} is {list(values)}; it must be a list of numbers, each smaller than the one before")
    return numbers


def training_sigmas(alphas: np.ndarray) -> np.ndarray:
    """Noise over image at each training step, (train_steps,) float32, ascending, of the cumulative alphas."""
    # Where nothing of the image is left sigma would be infinite; Diffusers puts float16's smallest number there.
    alphas = np.where(alphas == 0, np.float32(2.0**-24), alphas)
    return np.sqrt((np.float32(1.0) - alphas) / alphas)


def with_final(sigmas: np.ndarray, last: float) -> np.ndarray:
    """The sigmas with the one that the run ends in behind them, float32."""
    return np.append(sigmas, last).astype(np.float32)


def sigmas_to_timesteps(sigmas: np.ndarray, trained: np.ndarray) -> np.ndarray:
    """Where sigmas lie between the trained ones, linear in log sigma; float64, same shape as sigmas."""
    log_trained = np.log(trained)
    log_sigmas = np.log(np.maximum(sigmas, 1e-10))
    low = np.clip(np.searchsorted(log_trained, log_sigmas, side="right") - 1, 0, len(trained) - 2)
    weight = np.clip((log_trained[low] - log_sigmas) / (log_trained[low] - log_trained[low + 1]), 0, 1)
    return (1 - weight) * low + weight * (low + 1)


def karras_sigmas(sigma_min: float, sigma_max: float, steps: int, rho: float = 7.0) -> np.ndarray:
    """Source: Karras et al. 2022, arXiv:2206.00364, equation 5."""
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return (high + np.linspace(0, 1, steps) * (low - high)) ** rho


def exponential_sigmas(sigma_min: float, sigma_max: float, steps: int) -> np.ndarray:
    """Evenly spaced in log sigma, descending."""
    return np.exp(np.linspace(math.log(sigma_max), math.log(sigma_min), steps))


def beta_sigmas(sigma_min: float, sigma_max: float, steps: int) -> np.ndarray:
    """Quantiles of the beta distribution (0.6, 0.6): dense at both ends.

    Source: Lee et al. 2024, arXiv:2407.12173.
    """
    quantiles = _beta_quantiles(1 - np.linspace(0, 1, steps), 0.6)
    return sigma_min + quantiles * (sigma_max - sigma_min)


def _beta_quantiles(shares: np.ndarray, shape: float) -> np.ndarray:
    """The x in [0, 1] that have these shares of the symmetric beta distribution below them, to 1e-15.

    Bisection on the power series of the incomplete beta function, in the lower half, where it converges fast.
    """
    order = np.arange(64)
    terms = np.cumprod(np.concatenate([[1.0], 1 - shape / order[1:]])) / (shape + order)
    tails = np.minimum(shares, 1 - shares) * math.gamma(shape) ** 2 / math.gamma(2 * shape)
    low, high = np.zeros_like(shares), np.full_like(shares, 0.5)
    for _ in range(60):
        x = (low + high) / 2
        below = x**shape * (x[:, np.newaxis] ** order @ terms) < tails
        low, high = np.where(below, x, low), np.where(below, high, x)
    return np.where(shares > 0.5, 1 - high, high)
