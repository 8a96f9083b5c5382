"""Euler's method on the probability-flow ODE, in sigmas."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..betas import BetaConfig, cumulative_alphas
from ..sigmas import SigmaConfig, Spacing, sigmas_to_timesteps, spaced_timesteps, training_sigmas

CLASS_NAME = "EulerDiscreteScheduler"


@dataclass(frozen=True)
class Config(SigmaConfig, BetaConfig):
    """Diffusers' settings and defaults; the types say which values are supported."""

    prediction_type: Literal["epsilon", "v_prediction", "sample", "original_sample"] = "epsilon"
    interpolation_type: Literal["linear"] = "linear"
    sigma_min: float | None = None
    sigma_max: float | None = None
    timestep_spacing: Spacing = "linspace"
    timestep_type: Literal["discrete"] = "discrete"
    steps_offset: int = 0
    rescale_betas_zero_snr: bool = False


class Scheduler:
    """Source: Karras et al. 2022, arXiv:2206.00364, algorithm 2 without churn."""

    def __init__(self, config: Config, steps: int) -> None:
        self.config = config
        self.timesteps, self.sigmas = _schedule(config, steps)
        self.init_noise_sigma = initial_sigma(self.sigmas, config.timestep_spacing)

    def scale_model_input(self, sample: np.ndarray, index: int) -> np.ndarray:
        return scaled_input(sample, self.sigmas[index])

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        sigma, sigma_next = self.sigmas[index], self.sigmas[index + 1]
        original = predicted_original(model_output, sigma, sample, self.config.prediction_type)
        return sample + (sample - original) / sigma * (sigma_next - sigma)

    def add_noise(self, original: np.ndarray, noise: np.ndarray, index: int) -> np.ndarray:
        return original + noise * self.sigmas[index]


def initial_sigma(sigmas: np.ndarray, spacing: Spacing) -> float:
    """The standard deviation of the first sample."""
    largest = sigmas.max()
    return float(largest if spacing != "leading" else np.sqrt(largest**2 + np.float32(1.0)))


def scaled_input(sample: np.ndarray, sigma: np.float32) -> np.ndarray:
    """A sample of variance sigma**2 + 1, brought to the variance that the model was trained with."""
    return sample / np.sqrt(sigma**2 + np.float32(1.0))


def predicted_original(
    model_output: np.ndarray, sigma: np.float32, sample: np.ndarray, prediction_type: str
) -> np.ndarray:
    """The clean sample that the model's answer implies."""
    if prediction_type == "epsilon":
        return sample - sigma * model_output
    if prediction_type == "v_prediction":
        variance = sigma**2 + np.float32(1.0)
        return model_output * (-sigma / np.sqrt(variance)) + sample / variance
    return model_output


def _schedule(config: Config, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The timesteps, and the sigmas with the final one behind them; both float32."""
    trained = training_sigmas(cumulative_alphas(config, config.rescale_betas_zero_snr))
    spaced = spaced_timesteps(config.timestep_spacing, config.num_train_timesteps, steps, config.steps_offset)
    timesteps = spaced.astype(np.float32)
    sigmas = np.interp(timesteps, np.arange(len(trained)), trained)
    formula = config.formula()
    if formula is not None:
        low = float(sigmas[-1]) if config.sigma_min is None else config.sigma_min
        high = float(sigmas[0]) if config.sigma_max is None else config.sigma_max
        sigmas = formula(low, high, steps)
        timesteps = sigmas_to_timesteps(sigmas, trained).astype(np.float32)
    return timesteps, config.with_final(sigmas, trained)
