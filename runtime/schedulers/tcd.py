"""Trajectory consistency: each step down to a noise level below the next, and up again with fresh noise."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..prediction import predicted_noise, predicted_original
from ..variance_preserving import mixed, roots
from .lcm import Distilled, DistilledConfig

CLASS_NAME = "TCDScheduler"


@dataclass(frozen=True)
class Config(DistilledConfig):
    """Diffusers' settings and defaults; the types say which values are supported.

    eta: in [0, 1], the paper's gamma, how far below the next level a step goes; 0 adds no noise. Diffusers takes it in
    the pipeline's call, where its default is 0.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta is {self.eta}; it must be from 0 to 1")


class Scheduler(Distilled):
    """Source: Zheng et al. 2024, arXiv:2402.19159, algorithm 4."""

    config: Config

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        config, last = self.config, index + 1 == len(self.indices)
        factors = roots(self.alphas[self.indices[index]])
        original = predicted_original(model_output, *factors, sample, config.prediction_type)
        eps = predicted_noise(model_output, *factors, sample, config.prediction_type)
        following = 0 if last else self.indices[index + 1]
        # As torch: a float32 product, rounded down.
        below = int(np.floor(np.float32(1 - config.eta) * np.float32(following)))
        lower = mixed(self.alphas[below], original, eps)
        if config.eta == 0 or last:
            return lower
        return mixed(self.alphas[following] / self.alphas[below], lower, draw())
