"""Linear multistep: the last four slopes, as a polynomial in sigma integrated over the step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..betas import cumulative_alphas
from ..prediction import Prediction
from ..sigmas import training_sigmas, with_final
from ..variance_exploding import FormulaConfig, VarianceExploding, predicted_original, schedule

CLASS_NAME = "LMSDiscreteScheduler"
ORDER = 4


@dataclass(frozen=True)
class Config(FormulaConfig):
    """Diffusers' settings and defaults; the types say which values are supported."""

    karras_has_limits: ClassVar[bool] = False

    prediction_type: Prediction = "epsilon"


class Scheduler(VarianceExploding):
    """Source: Crowson's k-diffusion, sample_lms."""

    def __init__(self, config: Config, steps: int) -> None:
        timesteps, sigmas = schedule(config, training_sigmas(cumulative_alphas(config)), steps)
        super().__init__(timesteps, with_final(sigmas, 0.0), config.timestep_spacing)
        self.config = config
        self._slopes: list[np.ndarray] = []

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        sigma = self.sigmas[index]
        original = predicted_original(model_output, sigma, sample, self.config.prediction_type)
        self._slopes = [*self._slopes, (sample - original) / sigma][-ORDER:]
        moved = sample
        # A run that starts late has fewer slopes than weights; Diffusers leaves out the rest of the sum, and so do we.
        for weight, slope in zip(self._weights(index), self._slopes[::-1], strict=False):
            moved = moved + weight * slope
        return moved

    def _weights(self, index: int) -> np.ndarray:
        """The integrals of the Lagrange polynomials over the step, (order,) float32, of the newest slope first."""
        nodes = self.sigmas[max(index + 1 - ORDER, 0) : index + 1][::-1].astype(np.float64)
        start, end = np.float64(self.sigmas[index]), np.float64(self.sigmas[index + 1])
        # Gauss' rule of two points is exact up to degree 3.
        points = (start + end) / 2 + (end - start) / 2 * np.array([-1, 1]) / np.sqrt(3)
        weights = np.empty(len(nodes), dtype=np.float64)
        for i, node in enumerate(nodes):
            others = np.delete(nodes, i)
            weights[i] = ((points[:, np.newaxis] - others) / (node - others)).prod(axis=1).sum() * (end - start) / 2
        return weights.astype(np.float32)
