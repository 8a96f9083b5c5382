"""The noise schedule a model was trained with: its betas, and how much of the image is left at each training step."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .errors import BadRequest


@dataclass(frozen=True)
class BetaConfig:
    """The settings of a training schedule, as in scheduler_config.json, with the defaults of most schedulers."""

    num_train_timesteps: int = 1000
    beta_start: float = 0.0001
    beta_end: float = 0.02
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "linear"
    trained_betas: tuple[float, ...] | None = None


def cumulative_alphas(config: BetaConfig, rescale_zero_snr: bool = False) -> np.ndarray:
    """The share of the image's variance left at each training step, (num_train_timesteps,) float32, descending.

    rescale_zero_snr: leave none at the last step (exactly 0.0), see `rescale_to_zero_snr`.
    Raises BadRequest if trained_betas has another length than num_train_timesteps.
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


def _betas(config: BetaConfig) -> np.ndarray:
    count = config.num_train_timesteps
    if config.trained_betas is not None:
        if len(config.trained_betas) != count:
            raise BadRequest(f"trained_betas has {len(config.trained_betas)} values; num_train_timesteps says {count}")
        return np.asarray(config.trained_betas, dtype=np.float32)
    if config.beta_schedule == "squaredcos_cap_v2":
        return _cosine_betas(count)
    if config.beta_schedule == "scaled_linear":
        return _linspace(math.sqrt(config.beta_start), math.sqrt(config.beta_end), count) ** 2
    return _linspace(config.beta_start, config.beta_end, count)


def _cosine_betas(count: int, max_beta: float = 0.999) -> np.ndarray:
    """Source: Nichol and Dhariwal 2021, arXiv:2102.09672."""
    alphas_bar = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * math.pi / 2) ** 2
    return np.minimum(1 - alphas_bar[1:] / alphas_bar[:-1], max_beta).astype(np.float32)


def _linspace(start: float, end: float, count: int) -> np.ndarray:
    """torch.linspace to the last bit: a float32 step, counted from the nearer end, rounded once.

    The first sigmas lose five digits to 1 - alpha, so that one wrong bit here is visible in the last steps of a run.
    """
    first, last = np.float32(start), np.float32(end)
    step = float((last - first) / np.float32(max(count - 1, 1)))
    index = np.arange(count)
    lower, upper = float(first) + step * index, float(last) - step * (count - 1 - index)
    return np.where(index < count // 2, lower, upper).astype(np.float32)


def _cumulative_product(values: np.ndarray) -> np.ndarray:
    # torch.cumprod carries float32 products in double precision.
    return np.cumprod(values, dtype=np.float64).astype(np.float32)
