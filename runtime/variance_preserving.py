"""Schedulers at whole training steps, whose samples keep variance 1: what DDPM, DDIM, PNDM, LCM and TCD share."""

import numpy as np

from .errors import BadRequest


class VariancePreserving:
    """The noise levels of such a run, and the half of the Scheduler protocol that follows from them.

    alphas: (training steps,) float32, the share of the image's variance left at each.
    indices: (calls,) int64, the training step of each call.
    Raises BadRequest for what Diffusers would look up wrongly or divide by zero.
    """

    init_noise_sigma = 1.0
    calls_per_step = 1

    def __init__(self, alphas: np.ndarray, indices: np.ndarray, prediction_type: str) -> None:
        if indices.min() < 0 or indices.max() >= len(alphas):
            raise BadRequest(
                f"this number of steps leads to timesteps from {indices.min()} to {indices.max()}, beyond the"
                f" {len(alphas)} trained ones; change steps, timestep_spacing or steps_offset"
            )
        if prediction_type == "epsilon" and (alphas[indices] == 0).any():
            raise BadRequest(
                "rescale_betas_zero_snr leaves no image at the first timestep, and prediction_type 'epsilon' can't"
                " restore it; use a model trained with 'v_prediction', or turn rescale_betas_zero_snr off"
            )
        self.alphas = alphas
        self.indices = indices
        self.timesteps = indices.astype(np.float32)

    def scale_model_input(self, sample: np.ndarray, index: int) -> np.ndarray:
        return sample

    def add_noise(self, original: np.ndarray, noise: np.ndarray, index: int) -> np.ndarray:
        return mixed(self.alphas[self.indices[index]], original, noise)


def mixed(alpha: np.float32, original: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """A clean sample with unit noise on it, so that a share alpha of its variance is left."""
    root, noise_root = roots(alpha)
    return root * original + noise_root * noise


def roots(alpha: np.float32) -> tuple[np.float32, np.float32]:
    """The factors of the clean sample and of the noise, where a share alpha of the variance is left."""
    return np.sqrt(alpha), np.sqrt(np.float32(1.0) - alpha)
