"""Latent consistency: the predicted image at every step, noised again for the next."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..betas import BetaConfig, cumulative_alphas
from ..errors import BadRequest
from .ddim import add_noise_at, check_indices, predicted_original

CLASS_NAME = "LCMScheduler"
SIGMA_DATA = 0.5


@dataclass(frozen=True)
class Config(BetaConfig):
    """Diffusers' settings and defaults; the types say which values are supported.

    timestep_scaling: factor on the timestep in the boundary condition; larger is closer to the model's own answer.
    """

    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "scaled_linear"
    original_inference_steps: int = 50
    clip_sample: bool = False
    clip_sample_range: float = 1.0
    prediction_type: Literal["epsilon", "v_prediction", "sample"] = "epsilon"
    thresholding: Literal[False] = False
    timestep_scaling: float = 10.0
    rescale_betas_zero_snr: bool = False


class Scheduler:
    """Source: Luo et al. 2023, arXiv:2310.04378, algorithm 3."""

    init_noise_sigma = 1.0

    def __init__(self, config: Config, steps: int) -> None:
        self.config = config
        self.alphas = cumulative_alphas(config, config.rescale_betas_zero_snr)
        self.indices = check_indices(_timesteps(config, steps), self.alphas, config.prediction_type)
        self.timesteps = self.indices.astype(np.float32)

    def scale_model_input(self, sample: np.ndarray, index: int) -> np.ndarray:
        return sample

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        config = self.config
        alpha = self.alphas[self.indices[index]]
        original = predicted_original(model_output, alpha, sample, config.prediction_type)
        if config.clip_sample:
            original = np.clip(original, np.float32(-config.clip_sample_range), np.float32(config.clip_sample_range))
        scaled = self.timesteps[index] * np.float32(config.timestep_scaling)
        total = scaled**2 + np.float32(SIGMA_DATA**2)
        denoised = scaled / np.sqrt(total) * original + np.float32(SIGMA_DATA**2) / total * sample
        if index == len(self.indices) - 1:
            return denoised
        return add_noise_at(self.alphas[self.indices[index + 1]], denoised, draw())

    def add_noise(self, original: np.ndarray, noise: np.ndarray, index: int) -> np.ndarray:
        return add_noise_at(self.alphas[self.indices[index]], original, noise)


def _timesteps(config: Config, steps: int) -> np.ndarray:
    """Steps of those that the model was distilled with, evenly spaced, int64, descending."""
    trained, original = config.num_train_timesteps, config.original_inference_steps
    if not 1 <= original <= trained:
        raise BadRequest(f"{CLASS_NAME}: original_inference_steps is {original}; it must be from 1 to {trained}")
    if steps > original:
        raise BadRequest(f"steps is {steps}; original_inference_steps allows from 1 to {original}")
    distilled = np.arange(original, 0, -1) * (trained // original) - 1
    chosen = np.floor(np.linspace(0, original, steps, endpoint=False)).astype(np.int64)
    return distilled[chosen]
