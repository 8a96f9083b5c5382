"""Euler's method with part of each step taken back as fresh noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..betas import cumulative_alphas
from ..sigmas import spaced_timesteps, training_sigmas, with_final
from ..variance_exploding import SpacedConfig, VarianceExploding, ancestral, predicted_original

CLASS_NAME = "EulerAncestralDiscreteScheduler"


@dataclass(frozen=True)
class Config(SpacedConfig):
    """Diffusers' settings and defaults; the types say which values are supported."""

    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon"
    rescale_betas_zero_snr: bool = False


class Scheduler(VarianceExploding):
    """Source: Crowson's k-diffusion, sample_euler_ancestral."""

    def __init__(self, config: Config, steps: int) -> None:
        trained = training_sigmas(cumulative_alphas(config, config.rescale_betas_zero_snr))
        spaced = spaced_timesteps(config.timestep_spacing, config.num_train_timesteps, steps, config.steps_offset)
        sigmas = np.interp(spaced.astype(np.float32), np.arange(len(trained)), trained)
        super().__init__(spaced, with_final(sigmas, 0.0), config.timestep_spacing)
        self.config = config

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        sigma = self.sigmas[index]
        original = predicted_original(model_output, sigma, sample, self.config.prediction_type)
        sigma_down, sigma_up = ancestral(sigma, self.sigmas[index + 1])
        moved = sample + (sample - original) / sigma * (sigma_down - sigma)
        # Diffusers draws at the last step too, for nothing: sigma_up is 0 there.
        return moved + draw() * sigma_up
