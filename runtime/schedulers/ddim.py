"""DDIM: straight from the predicted image to the next noise level, with fresh noise only where eta asks for it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..betas import BetaConfig, cumulative_alphas
from ..prediction import LimitConfig, Prediction, predicted_noise, predicted_original
from ..sigmas import Spacing, spaced_timesteps
from ..variance_preserving import VariancePreserving, roots

CLASS_NAME = "DDIMScheduler"


@dataclass(frozen=True)
class Config(LimitConfig, BetaConfig):
    """Diffusers' settings and defaults; the types say which values are supported.

    eta: in [0, 1], 0 for no noise, 1 for as much as DDPM; Diffusers takes it in the pipeline's call.
    """

    clip_sample: bool = True
    set_alpha_to_one: bool = True
    steps_offset: int = 0
    prediction_type: Prediction = "epsilon"
    timestep_spacing: Spacing = "leading"
    rescale_betas_zero_snr: bool = False
    eta: float = 0.0


class Scheduler(VariancePreserving):
    """Source: Song et al. 2021, arXiv:2010.02502, equations 12 and 16."""

    def __init__(self, config: Config, steps: int) -> None:
        alphas = cumulative_alphas(config, config.rescale_betas_zero_snr)
        spaced = spaced_timesteps(config.timestep_spacing, config.num_train_timesteps, steps, config.steps_offset)
        super().__init__(alphas, spaced.round().astype(np.int64), config.prediction_type)
        self.config = config
        self.final_alpha = np.float32(1.0) if config.set_alpha_to_one else alphas[0]
        self.stride = config.num_train_timesteps // steps

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        config, one = self.config, np.float32(1.0)
        previous = self.indices[index] - self.stride
        alpha = self.alphas[self.indices[index]]
        alpha_next = self.alphas[previous] if previous >= 0 else self.final_alpha
        original = config.limited(predicted_original(model_output, *roots(alpha), sample, config.prediction_type))
        eps = predicted_noise(model_output, *roots(alpha), sample, config.prediction_type)
        variance = (one - alpha_next) / (one - alpha) * (one - alpha / alpha_next)
        deviation = np.float32(config.eta) * np.sqrt(variance)
        direction = np.sqrt(one - alpha_next - deviation**2) * eps
        moved = np.sqrt(alpha_next) * original + direction
        return moved + deviation * draw() if config.eta > 0 else moved
