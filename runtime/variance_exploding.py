"""Schedulers in sigmas, whose samples are an image plus sigma times noise: what Euler, Heun, LMS and others share."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .betas import BetaConfig
from .errors import BadRequest
from .sigmas import Given, SigmaConfig, Spacing, given_timesteps, sigmas_to_timesteps, spaced_timesteps


@dataclass(frozen=True)
class SpacedConfig(BetaConfig):
    """Settings of every such scheduler, with Diffusers' defaults."""

    timestep_spacing: Spacing = "linspace"
    steps_offset: int = 0


@dataclass(frozen=True)
class FormulaConfig(SigmaConfig, SpacedConfig):
    """The same, where the sigmas may follow a formula."""


class VarianceExploding:
    """The noise levels of such a run, and the half of the Scheduler protocol that follows from them.

    timesteps: (calls,), of any dtype.  sigmas: (calls + 1,) float32, of each call and the final one.
    """

    calls_per_step = 1

    def __init__(self, timesteps: np.ndarray, sigmas: np.ndarray, spacing: Spacing) -> None:
        self.timesteps = timesteps.astype(np.float32)
        self.sigmas = sigmas
        largest = sigmas.max()
        self.init_noise_sigma = float(largest if spacing != "leading" else np.sqrt(largest**2 + np.float32(1.0)))

    def scale_model_input(self, sample: np.ndarray, index: int) -> np.ndarray:
        return scaled_input(sample, self.sigmas[index])

    def add_noise(self, original: np.ndarray, noise: np.ndarray, index: int) -> np.ndarray:
        return original + noise * self.sigmas[index]


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


def ancestral(sigma: Any, sigma_next: Any) -> tuple[Any, Any]:
    """How far down a step goes, and how much fresh noise leads back up to sigma_next; float32 numbers or arrays."""
    sigma_up = np.sqrt(sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2)
    return np.sqrt(sigma_next**2 - sigma_up**2), sigma_up


def schedule(
    config: FormulaConfig,
    trained: np.ndarray,
    steps: int,
    given: Given = None,
    dtype: type[np.floating] = np.float32,
) -> tuple[np.ndarray, np.ndarray]:
    """The timesteps and the sigmas of a run, without the final sigma.

    trained: the training sigmas.  given: the user's own timesteps instead of steps spaced ones.
    dtype: to which Diffusers rounds the timesteps before it looks up their sigmas.
    """
    if given is None:
        spaced = spaced_timesteps(config.timestep_spacing, config.num_train_timesteps, steps, config.steps_offset)
    elif config.has_formula():
        raise BadRequest("timesteps can't be given where Karras, exponential or beta sigmas set them")
    else:
        spaced = given_timesteps(given, config.num_train_timesteps)
    spaced = spaced.astype(dtype)
    sigmas = np.interp(spaced, np.arange(len(trained)), trained)
    if not config.has_formula():
        return spaced, sigmas
    sigmas = config.formula_sigmas(float(sigmas[-1]), float(sigmas[0]), steps)
    return sigmas_to_timesteps(sigmas, trained), sigmas
