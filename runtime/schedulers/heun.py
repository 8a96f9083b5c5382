"""Heun's method: each step once more, along the mean of the slopes at its two ends."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..betas import SCHEDULES, cumulative_alphas
from ..prediction import Prediction, clip
from ..sigmas import Given, training_sigmas, with_final
from ..variance_exploding import FormulaConfig, VarianceExploding, predicted_original, schedule

CLASS_NAME = "HeunDiscreteScheduler"


@dataclass(frozen=True)
class Config(FormulaConfig):
    """Diffusers' settings and defaults; the types say which values are supported."""

    schedules: ClassVar[tuple[str, ...]] = (*SCHEDULES, "exp")

    beta_start: float = 0.00085
    beta_end: float = 0.012
    prediction_type: Prediction = "epsilon"
    clip_sample: bool = False
    clip_sample_range: float = 1.0


class TwoEnds:
    """The state of Heun's method: the model is called at the start of a step, then at its end, and once for the last.

    sigmas: (calls + 1,), those of the calls and the final one.
    """

    def __init__(self, sigmas: np.ndarray) -> None:
        self.sigmas = sigmas
        self._start: tuple[np.ndarray, np.ndarray] | None = None

    def moved(self, slope: np.ndarray, index: int, sample: np.ndarray) -> np.ndarray:
        """The sample after a call that found this slope, in sigma."""
        if self._start is None:
            self._start = sample, slope
            return sample + slope * (self.sigmas[index + 1] - self.sigmas[index])
        (start, first), self._start = self._start, None
        return start + (first + slope) / np.float32(2.0) * (self.sigmas[index] - self.sigmas[index - 1])


class Scheduler(VarianceExploding):
    """Source: Karras et al. 2022, arXiv:2206.00364, algorithm 1."""

    calls_per_step = 2

    def __init__(self, config: Config, steps: int, timesteps: Given = None) -> None:
        told, sigmas = schedule(config, training_sigmas(cumulative_alphas(config)), steps, timesteps)
        super().__init__(at_both_ends(told), with_final(at_both_ends(sigmas), 0.0), config.timestep_spacing)
        self.config = config
        self._method = TwoEnds(self.sigmas)

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        config, sigma = self.config, self.sigmas[index]
        original = predicted_original(model_output, sigma, sample, config.prediction_type)
        if config.clip_sample:
            original = clip(original, config.clip_sample_range)
        return self._method.moved((sample - original) / sigma, index, sample)


def at_both_ends(values: np.ndarray) -> np.ndarray:
    """One value for each step -> one for each call: [a, b, c] -> [a, b, b, c, c]."""
    return np.append(values[:1], values[1:].repeat(2))
