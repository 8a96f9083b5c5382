"""Schedulers that step in the log of image over noise: what the DPM-Solvers, UniPC and DEIS share."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .betas import BetaConfig
from .errors import BadRequest
from .flow import TimeShift, shifted
from .prediction import ThresholdConfig, predicted_original
from .rounding import log
from .sigmas import SigmaConfig, Spacing, sigmas_to_timesteps, spaced_timesteps


@dataclass(frozen=True)
class LogSnrConfig(ThresholdConfig, SigmaConfig, BetaConfig):
    """Settings of every such scheduler, with the defaults of most.

    solver_type: those of one scheduler stand in the files of others, and mean the default there, as in Diffusers.
    use_flow_sigmas: the noise levels of a flow, where a sample is (1 - sigma) image + sigma noise.
    flow_shift: moves them toward noise; with use_dynamic_shifting, mu may take its place.
    """

    solver_order: Literal[1, 2, 3] = 2
    prediction_type: Literal["epsilon", "v_prediction", "sample", "flow_prediction"] = "epsilon"
    solver_type: Literal["midpoint", "heun", "logrho", "bh1", "bh2"] = "midpoint"
    lower_order_final: bool = True
    use_flow_sigmas: bool = False
    flow_shift: float = 1.0
    use_dynamic_shifting: bool = False
    time_shift_type: TimeShift = "exponential"

    def is_spaced(self) -> bool:
        """Whether the sigmas are those of spaced timesteps."""
        return not self.has_formula() and not self.use_flow_sigmas


class LogSnr:
    """The noise levels of such a run, and the half of the Scheduler protocol that follows from them.

    timesteps: (calls,), cut down to whole ones, as in Diffusers.
    levels: (calls + 1,) float32, sigma of each call and of the end: noise over image, or a flow's share of noise.
    """

    init_noise_sigma = 1.0
    calls_per_step = 1

    def __init__(self, config: LogSnrConfig, timesteps: np.ndarray, levels: np.ndarray) -> None:
        if (np.diff(levels[:-1]) >= 0).any():
            raise BadRequest(f"steps is {len(timesteps)}; that is too many for these settings: two steps coincide")
        self.timesteps = timesteps.astype(np.int64).astype(np.float32)
        self.levels = levels
        one = np.float32(1.0)
        # The factor of each in a sample, and the log of image / noise.
        self.alphas = one - levels if config.use_flow_sigmas else one / np.sqrt(levels**2 + one)
        self.sigmas = levels if config.use_flow_sigmas else levels * self.alphas
        with np.errstate(divide="ignore"):
            self.lambdas = log(self.alphas) - log(self.sigmas)
        self._limits = config

    def scale_model_input(self, sample: np.ndarray, index: int) -> np.ndarray:
        return sample

    def add_noise(self, original: np.ndarray, noise: np.ndarray, index: int) -> np.ndarray:
        return self.alphas[index] * original + self.sigmas[index] * noise

    def predicted_original(self, model_output: np.ndarray, index: int, sample: np.ndarray) -> np.ndarray:
        """The clean sample that the answer implies, within the config's limits."""
        alpha, sigma = self.alphas[index], self.predicted_sigma(index)
        answer = predicted_original(model_output, alpha, sigma, sample, self._limits.prediction_type)
        return self._limits.limited(answer)

    def predicted_sigma(self, index: int) -> np.float32:
        """The factor of what the model predicts, in the sample; the level itself for "flow_prediction"."""
        level: np.float32 = (self.levels if self._limits.prediction_type == "flow_prediction" else self.sigmas)[index]
        return level


def inner_timesteps(spacing: Spacing, usable: int, config: BetaConfig, steps: int, offset: int) -> np.ndarray:
    """Timesteps that leave out the last one, which would be the image itself; rounded, float64.

    usable: how many of the trained ones, from the least noisy on.
    """
    if spacing == "trailing":
        return np.arange(usable, 0, -config.num_train_timesteps / steps).round() - 1
    return spaced_timesteps(spacing, usable, steps + 1, offset)[:-1].round()


def schedule(
    config: LogSnrConfig,
    trained: np.ndarray,
    spaced: np.ndarray,
    steps: int,
    mu: float | None = None,
    rounds_karras: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """The timesteps and the sigmas of a run, float64, without the final sigma: by formula, of a flow, or as spaced.

    trained: the training sigmas.  spaced: the timesteps, where nothing else sets them.
    """
    if config.use_flow_sigmas:
        if config.has_formula():
            raise BadRequest("use_flow_sigmas can't be on together with Karras, exponential or beta sigmas")
        even = 1 - np.linspace(1, 1 / config.num_train_timesteps, steps + 1)
        sigmas = shifted(even, _flow_shift(config, mu))[:0:-1]
        return sigmas * config.num_train_timesteps, sigmas
    _flow_shift(config, mu)
    if not config.has_formula():
        return spaced, np.interp(spaced, np.arange(len(trained)), trained)
    sigmas = config.formula_sigmas(float(trained[0]), float(trained[-1]), steps)
    timesteps = sigmas_to_timesteps(sigmas, trained)
    return timesteps.round() if config.use_karras_sigmas and rounds_karras else timesteps, sigmas


def _flow_shift(config: LogSnrConfig, mu: float | None) -> float:
    if mu is None:
        return config.flow_shift
    if not config.use_dynamic_shifting or config.time_shift_type != "exponential":
        raise BadRequest(f"mu is {mu}; it needs use_dynamic_shifting, with time_shift_type 'exponential'")
    return math.exp(mu)
