"""The noise schedule a model was trained with: its betas, and how much of the image is left at each training step."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .errors import BadRequest

SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")


@dataclass(frozen=True)
class BetaConfig:
    """The settings of a training schedule, as in scheduler_config.json, with the defaults of most schedulers.

    schedules: those that Diffusers knows for this scheduler.
    """

    schedules: ClassVar[tuple[str, ...]] = SCHEDULES

    num_train_timesteps: int = 1000
    beta_start: float = 0.0001
    beta_end: float = 0.02
    beta_schedule: str = "linear"
    trained_betas: tuple[float, ...] | None = None


def cumulative_alphas(config: BetaConfig, rescale_zero_snr: bool = False) -> np.ndarray:
    """The share of the image's variance left at each training step, (num_train_timesteps,) float32, descending.

    rescale_zero_snr: leave none at the last step (exactly 0.0), see `rescale_to_zero_snr`.
    Raises BadRequest for an unknown schedule, or if trained_betas has another length than num_train_timesteps.
    """
    betas = _betas(config)
    if rescale_zero_snr:
        betas = rescale_to_zero_snr(betas)
    return _cumulative_product(np.float32(1.0) - betas)


def rescale_to_zero_snr(betas: np.ndarray) -> np.ndarray:
    """The betas shifted and scaled so that nothing of the image is left at the last step, float32.

    Source: Lin et al. 2023, arXiv:2305.08891, algorithm 1, in Diffusers' order of operations.
    """
    root = np.sqrt(_cumulative_product(np.float32(1.0) - betas))
    first, last = root[0], root[-1]
    alphas_bar = ((root - last) * (first / (first - last))) ** 2
    alphas = np.concatenate([alphas_bar[:1], alphas_bar[1:] / alphas_bar[:-1]])
    return np.float32(1.0) - alphas


def linspace(start: float, end: float, count: int) -> np.ndarray:
    """torch.linspace to the last bit: a float32 step, counted from the nearer end, rounded once.

    The first sigmas lose five digits to 1 - alpha, so that one wrong bit here is visible in the last steps of a run.
    """
    first, last = np.float32(start), np.float32(end)
    step = float((last - first) / np.float32(max(count - 1, 1)))
    index = np.arange(count)
    lower, upper = float(first) + step * index, float(last) - step * (count - 1 - index)
    return np.where(index < count // 2, lower, upper).astype(np.float32)


def _betas(config: BetaConfig) -> np.ndarray:
    count = config.num_train_timesteps
    if config.trained_betas is not None:
        if len(config.trained_betas) != count:
            raise BadRequest(f"trained_betas has {len(config.trained_betas)} values; num_train_timesteps says {count}")
        return np.asarray(config.trained_betas, dtype=np.float32)
    if config.beta_schedule not in config.schedules:
        raise BadRequest(f"beta_schedule is {config.beta_schedule!r}, expected one of {', '.join(config.schedules)}")
    if config.beta_schedule == "linear":
        return linspace(config.beta_start, config.beta_end, count)
    if config.beta_schedule == "scaled_linear":
        return linspace(math.sqrt(config.beta_start), math.sqrt(config.beta_end), count) ** 2
    if config.beta_schedule == "sigmoid":
        share = np.float32(1.0) / (np.float32(1.0) + np.exp(-linspace(-6.0, 6.0, count)))
        return share * np.float32(config.beta_end - config.beta_start) + np.float32(config.beta_start)
    shares = {"squaredcos_cap_v2": _cosine, "laplace": _laplace, "exp": _exponential}[config.beta_schedule]
    left = shares(np.arange(count + 1) / count)
    return np.minimum(1 - left[1:] / left[:-1], 0.999).astype(np.float32)


def _cosine(time: np.ndarray) -> np.ndarray:
    """The share of the image's variance left at a time from 0 to 1.

    Source: Nichol and Dhariwal 2021, arXiv:2102.09672.
    """
    return np.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2


def _laplace(time: np.ndarray) -> np.ndarray:
    """The same, Diffusers' Laplace schedule: its square root is what Hang and Gu 2024, arXiv:2407.03297, call alpha."""
    half = 0.5 - time
    ratio = np.exp(-0.5 * np.copysign(1, half) * np.log(1 - 2 * np.abs(half) + 1e-06))
    return np.sqrt(ratio / (1 + ratio))


def _exponential(time: np.ndarray) -> np.ndarray:
    return np.exp(-12.0 * time)


def _cumulative_product(values: np.ndarray) -> np.ndarray:
    # torch.cumprod carries float32 products in double precision.
    return np.cumprod(values, dtype=np.float64).astype(np.float32)
