"""Latent consistency: the predicted image at every step, noised again for the next."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..betas import BetaConfig, cumulative_alphas
from ..errors import BadRequest
from ..prediction import LimitConfig, Prediction, predicted_original
from ..sigmas import Given, whole_timesteps
from ..variance_preserving import VariancePreserving, mixed, roots

CLASS_NAME = "LCMScheduler"
SIGMA_DATA = 0.5


@dataclass(frozen=True)
class DistilledConfig(BetaConfig):
    """The settings of models distilled to few steps, for LCM and TCD."""

    beta_start: float = 0.00085
    beta_end: float = 0.012
    beta_schedule: str = "scaled_linear"
    original_inference_steps: int = 50
    prediction_type: Prediction = "epsilon"
    rescale_betas_zero_snr: bool = False


@dataclass(frozen=True)
class Config(LimitConfig, DistilledConfig):
    """Diffusers' settings and defaults; the types say which values are supported.

    timestep_scaling: factor on the timestep in the boundary condition; larger is closer to the model's own answer.
    """

    timestep_scaling: float = 10.0


class Distilled(VariancePreserving):
    """What LCM and TCD share: the timesteps that a model was distilled with, or some of them.

    strength: in (0, 1], the share of them, from the least noisy on, that the steps are chosen from.
    """

    def __init__(
        self, config: DistilledConfig, steps: int, timesteps: Given = None, strength: float | None = None
    ) -> None:
        alphas = cumulative_alphas(config, config.rescale_betas_zero_snr)
        chosen = _timesteps(config, steps, timesteps, 1.0 if strength is None else strength)
        super().__init__(alphas, chosen, config.prediction_type)
        self.config = config


class Scheduler(Distilled):
    """Source: Luo et al. 2023, arXiv:2310.04378, algorithm 3."""

    config: Config

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        config = self.config
        factors = roots(self.alphas[self.indices[index]])
        original = config.limited(predicted_original(model_output, *factors, sample, config.prediction_type))
        scaled = self.timesteps[index] * np.float32(config.timestep_scaling)
        total = scaled**2 + np.float32(SIGMA_DATA**2)
        denoised = scaled / np.sqrt(total) * original + np.float32(SIGMA_DATA**2) / total * sample
        if index == len(self.indices) - 1:
            return denoised
        return mixed(self.alphas[self.indices[index + 1]], denoised, draw())


def _timesteps(config: DistilledConfig, steps: int, given: Given, strength: float) -> np.ndarray:
    """Steps of those that the model was distilled with, evenly spaced, int64, descending; or those given."""
    trained, original = config.num_train_timesteps, config.original_inference_steps
    if not 1 <= original <= trained:
        raise BadRequest(f"original_inference_steps is {original}; it must be from 1 to {trained}")
    if given is not None:
        chosen = whole_timesteps(given, trained)
        left = int(len(chosen) * strength)
        if left < 1:
            raise BadRequest(
                f"strength {strength:g} of {len(chosen)} timesteps leaves none; give more, or a larger strength"
            )
        return chosen[len(chosen) - left :]
    usable = int(original * strength)
    if steps > usable:
        share = "" if strength == 1 else f" times strength {strength:g}"
        raise BadRequest(f"steps is {steps}; original_inference_steps{share} allows from 1 to {usable}")
    distilled = np.arange(usable, 0, -1) * (trained // original) - 1
    chosen = np.floor(np.linspace(0, usable, steps, endpoint=False)).astype(np.int64)
    return distilled[chosen]
