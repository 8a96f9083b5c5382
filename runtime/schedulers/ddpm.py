"""DDPM: the mean of the step before, given the predicted image, and fresh noise at every step but the last."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..betas import SCHEDULES, BetaConfig, cumulative_alphas
from ..errors import BadRequest
from ..prediction import LimitConfig, Prediction, predicted_original
from ..sigmas import Given, Spacing, spaced_timesteps, whole_timesteps
from ..variance_preserving import VariancePreserving, roots

CLASS_NAME = "DDPMScheduler"


@dataclass(frozen=True)
class Config(LimitConfig, BetaConfig):
    """Diffusers' settings and defaults; the types say which values are supported.

    variance_type: of the noise; "learned" and "learned_range" are for models that answer with twice the channels.
    "fixed_large_log" is left out: Diffusers takes the root of a negative number there.
    """

    schedules: ClassVar[tuple[str, ...]] = (*SCHEDULES, "laplace", "sigmoid")

    clip_sample: bool = True
    variance_type: Literal["fixed_small", "fixed_small_log", "fixed_large", "learned", "learned_range"] = "fixed_small"
    prediction_type: Prediction = "epsilon"
    timestep_spacing: Spacing = "leading"
    steps_offset: int = 0
    rescale_betas_zero_snr: bool = False


class Scheduler(VariancePreserving):
    """Source: Ho et al. 2020, arXiv:2006.11239, equations 6 and 7."""

    def __init__(self, config: Config, steps: int, timesteps: Given = None) -> None:
        trained = config.num_train_timesteps
        if timesteps is None:
            indices = spaced_timesteps(config.timestep_spacing, trained, steps, config.steps_offset).round()
        else:
            indices = whole_timesteps(timesteps, trained)
        alphas = cumulative_alphas(config, config.rescale_betas_zero_snr)
        super().__init__(alphas, indices.astype(np.int64), config.prediction_type)
        self.config = config

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        config, one = self.config, np.float32(1.0)
        model_output, learned = self._split(model_output, sample)
        alpha = self.alphas[self.indices[index]]
        alpha_next = self.alphas[self.indices[index + 1]] if index + 1 < len(self.indices) else one
        original = config.limited(predicted_original(model_output, *roots(alpha), sample, config.prediction_type))
        kept = alpha / alpha_next
        original_share = np.sqrt(alpha_next) * (one - kept) / (one - alpha)
        sample_share = np.sqrt(kept) * (one - alpha_next) / (one - alpha)
        moved = original_share * original + sample_share * sample
        if self.indices[index] == 0:
            return moved
        return moved + self._deviation(one - kept, (one - alpha_next) / (one - alpha), learned) * draw()

    def _split(self, model_output: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The answer proper, and what it says of the variance; the latter without meaning if it says nothing."""
        if not self.config.variance_type.startswith("learned"):
            return model_output, model_output
        if model_output.shape[1] != 2 * sample.shape[1]:
            raise BadRequest(f"variance_type is {self.config.variance_type!r}; this model predicts no variance")
        answer, variance = np.split(model_output, 2, axis=1)
        return answer, variance

    def _deviation(self, beta: np.float32, share: np.float32, learned: np.ndarray) -> np.ndarray | np.float32:
        """The standard deviation of the noise: one number, or one for each value where the model predicts it."""
        half, kind = np.float32(0.5), self.config.variance_type
        smallest = np.maximum(share * beta, np.float32(1e-20))
        if kind == "fixed_small_log":
            return np.exp(half * np.log(smallest))
        if kind == "learned_range":
            weight = (learned + np.float32(1.0)) / np.float32(2.0)
            return np.exp(half * (weight * np.log(beta) + (np.float32(1.0) - weight) * np.log(smallest)))
        return np.sqrt({"fixed_small": smallest, "fixed_large": beta, "learned": learned}[kind])
