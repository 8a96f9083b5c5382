"""What a model's answer implies, the clean sample or the noise in it, and how far the clean sample may go."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Prediction = Literal["epsilon", "v_prediction", "sample"]


@dataclass(frozen=True)
class ThresholdConfig:
    """Dynamic thresholding, as in scheduler_config.json; meant for models whose samples are pixels.

    dynamic_thresholding_ratio: in [0, 1], the quantile of an image's absolute values that becomes its bound.
    """

    thresholding: bool = False
    dynamic_thresholding_ratio: float = 0.995
    sample_max_value: float = 1.0

    def limited(self, original: np.ndarray) -> np.ndarray:
        """A clean sample within its bounds; the same one where no limit is set."""
        if not self.thresholding:
            return original
        return threshold(original, self.dynamic_thresholding_ratio, self.sample_max_value)


@dataclass(frozen=True)
class LimitConfig(ThresholdConfig):
    """Thresholding, or else clipping."""

    clip_sample: bool = False
    clip_sample_range: float = 1.0

    def limited(self, original: np.ndarray) -> np.ndarray:
        if self.clip_sample and not self.thresholding:
            return clip(original, self.clip_sample_range)
        return super().limited(original)


def clip(original: np.ndarray, bound: float) -> np.ndarray:
    """A clean sample between -bound and bound."""
    return np.clip(original, np.float32(-bound), np.float32(bound))


def threshold(original: np.ndarray, ratio: float, largest: float) -> np.ndarray:
    """Each image clipped to a quantile of its own absolute values, from 1 to largest, and divided by it.

    Source: Saharia et al. 2022, arXiv:2205.11487, section 2.3.
    """
    bounds = np.quantile(np.abs(original).reshape(len(original), -1), ratio, axis=1).astype(np.float32)
    bounds = np.minimum(np.maximum(bounds, np.float32(1.0)), np.float32(largest))
    bounds = bounds.reshape(-1, *[1] * (original.ndim - 1))
    return np.clip(original, -bounds, bounds) / bounds


def predicted_original(
    model_output: np.ndarray, alpha: np.float32, sigma: np.float32, sample: np.ndarray, prediction_type: str
) -> np.ndarray:
    """The clean sample that the answer implies.

    alpha, sigma: factors of the clean sample and of the noise in the sample.
    prediction_type: a Prediction, or "flow_prediction" (noise - image; sigma is then the noise's share).
    """
    if prediction_type == "epsilon":
        return (sample - sigma * model_output) / alpha
    if prediction_type == "v_prediction":
        return alpha * sample - sigma * model_output
    if prediction_type == "flow_prediction":
        return sample - sigma * model_output
    return model_output


def predicted_noise(
    model_output: np.ndarray, alpha: np.float32, sigma: np.float32, sample: np.ndarray, prediction_type: str
) -> np.ndarray:
    """The noise that the answer implies; the same arguments."""
    if prediction_type == "epsilon":
        return model_output
    if prediction_type == "v_prediction":
        return alpha * model_output + sigma * sample
    return (sample - alpha * model_output) / sigma
