"""Euler's method with part of each step taken back as fresh noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..betas import BetaConfig, cumulative_alphas
from ..sigmas import Spacing, spaced_timesteps, training_sigmas
from .euler import initial_sigma, predicted_original, scaled_input

CLASS_NAME = "EulerAncestralDiscreteScheduler"


@dataclass(frozen=True)
class Config(BetaConfig):
    """Diffusers' settings and defaults; the types say which values are supported."""

    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon"
    timestep_spacing: Spacing = "linspace"
    steps_offset: int = 0
    rescale_betas_zero_snr: bool = False


class Scheduler:
    """Source: Crowson's k-diffusion, sample_euler_ancestral."""

    def __init__(self, config: Config, steps: int) -> None:
        self.config = config
        trained = training_sigmas(cumulative_alphas(config, config.rescale_betas_zero_snr))
        spaced = spaced_timesteps(config.timestep_spacing, config.num_train_timesteps, steps, config.steps_offset)
        self.timesteps = spaced.astype(np.float32)
        sigmas = np.interp(self.timesteps, np.arange(len(trained)), trained)
        self.sigmas = np.append(sigmas, 0.0).astype(np.float32)
        self.init_noise_sigma = initial_sigma(self.sigmas, config.timestep_spacing)

    def scale_model_input(self, sample: np.ndarray, index: int) -> np.ndarray:
        return scaled_input(sample, self.sigmas[index])

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        sigma, sigma_next = self.sigmas[index], self.sigmas[index + 1]
        original = predicted_original(model_output, sigma, sample, self.config.prediction_type)
        sigma_up = np.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2)
        sigma_down = np.sqrt(sigma_next**2 - sigma_up**2)
        moved = sample + (sample - original) / sigma * (sigma_down - sigma)
        # Diffusers draws at the last step too, for nothing: sigma_up is 0 there.
        return moved + draw() * sigma_up

    def add_noise(self, original: np.ndarray, noise: np.ndarray, index: int) -> np.ndarray:
        return original + noise * self.sigmas[index]
