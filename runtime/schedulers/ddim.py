"""DDIM: straight from the predicted image to the next noise level, with fresh noise only where eta asks for it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..betas import BetaConfig, cumulative_alphas
from ..errors import BadRequest
from ..sigmas import Spacing, spaced_timesteps

CLASS_NAME = "DDIMScheduler"


@dataclass(frozen=True)
class Config(BetaConfig):
    """Diffusers' settings and defaults; the types say which values are supported.

    eta: in [0, 1], 0 for no noise, 1 for as much as DDPM; Diffusers takes it in the pipeline's call.
    """

    clip_sample: bool = True
    clip_sample_range: float = 1.0
    set_alpha_to_one: bool = True
    steps_offset: int = 0
    prediction_type: Literal["epsilon", "v_prediction", "sample"] = "epsilon"
    thresholding: Literal[False] = False
    timestep_spacing: Spacing = "leading"
    rescale_betas_zero_snr: bool = False
    eta: float = 0.0


class Scheduler:
    """Source: Song et al. 2021, arXiv:2010.02502, equations 12 and 16."""

    init_noise_sigma = 1.0

    def __init__(self, config: Config, steps: int) -> None:
        self.config = config
        self.alphas = cumulative_alphas(config, config.rescale_betas_zero_snr)
        self.final_alpha = np.float32(1.0) if config.set_alpha_to_one else self.alphas[0]
        self.stride = config.num_train_timesteps // steps
        spaced = spaced_timesteps(config.timestep_spacing, config.num_train_timesteps, steps, config.steps_offset)
        self.indices = check_indices(spaced.round().astype(np.int64), self.alphas, config.prediction_type)
        self.timesteps = self.indices.astype(np.float32)

    def scale_model_input(self, sample: np.ndarray, index: int) -> np.ndarray:
        return sample

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        config, one = self.config, np.float32(1.0)
        previous = self.indices[index] - self.stride
        alpha = self.alphas[self.indices[index]]
        alpha_next = self.alphas[previous] if previous >= 0 else self.final_alpha
        original = predicted_original(model_output, alpha, sample, config.prediction_type)
        eps = _predicted_noise(model_output, alpha, sample, config.prediction_type)
        if config.clip_sample:
            original = np.clip(original, np.float32(-config.clip_sample_range), np.float32(config.clip_sample_range))
        variance = (one - alpha_next) / (one - alpha) * (one - alpha / alpha_next)
        deviation = np.float32(config.eta) * np.sqrt(variance)
        direction = np.sqrt(one - alpha_next - deviation**2) * eps
        moved = np.sqrt(alpha_next) * original + direction
        return moved + deviation * draw() if config.eta > 0 else moved

    def add_noise(self, original: np.ndarray, noise: np.ndarray, index: int) -> np.ndarray:
        return add_noise_at(self.alphas[self.indices[index]], original, noise)


def predicted_original(
    model_output: np.ndarray, alpha: np.float32, sample: np.ndarray, prediction_type: str
) -> np.ndarray:
    """The clean sample that the model's answer implies, where a cumulative alpha of it is left."""
    root, noise_root = np.sqrt(alpha), np.sqrt(np.float32(1.0) - alpha)
    if prediction_type == "epsilon":
        return (sample - noise_root * model_output) / root
    if prediction_type == "v_prediction":
        return root * sample - noise_root * model_output
    return model_output


def add_noise_at(alpha: np.float32, original: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """A clean sample mixed with unit noise, so that a cumulative alpha of it is left."""
    return np.sqrt(alpha) * original + np.sqrt(np.float32(1.0) - alpha) * noise


def check_indices(indices: np.ndarray, alphas: np.ndarray, prediction_type: str) -> np.ndarray:
    """The same training steps, int64; raises BadRequest for what Diffusers would look up wrongly or divide by zero."""
    if indices.min() < 0 or indices.max() >= len(alphas):
        raise BadRequest(
            f"this number of steps leads to timesteps from {indices.min()} to {indices.max()}, beyond the"
            f" {len(alphas)} trained ones; change steps, timestep_spacing or steps_offset"
        )
    if prediction_type == "epsilon" and (alphas[indices] == 0).any():
        raise BadRequest(
            "rescale_betas_zero_snr leaves no image at the first timestep, and prediction_type 'epsilon' can't restore"
            " it; use a model trained with 'v_prediction', or turn rescale_betas_zero_snr off"
        )
    return indices


def _predicted_noise(
    model_output: np.ndarray, alpha: np.float32, sample: np.ndarray, prediction_type: str
) -> np.ndarray:
    root, noise_root = np.sqrt(alpha), np.sqrt(np.float32(1.0) - alpha)
    if prediction_type == "epsilon":
        return model_output
    if prediction_type == "v_prediction":
        return root * model_output + noise_root * sample
    return (sample - root * model_output) / noise_root
