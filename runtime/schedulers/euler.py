"""Euler's method on the probability-flow ODE, in sigmas."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..betas import cumulative_alphas, linspace
from ..errors import BadRequest
from ..rounding import exp, log
from ..sigmas import FinalSigma, Given, sigmas_to_timesteps, training_sigmas, with_final
from ..variance_exploding import FormulaConfig, VarianceExploding, predicted_original, schedule

CLASS_NAME = "EulerDiscreteScheduler"


@dataclass(frozen=True)
class Config(FormulaConfig):
    """Diffusers' settings and defaults; the types say which values are supported.

    timestep_type: "continuous" tells a model of v_prediction log(sigma) / 4 instead of a training step.
    """

    prediction_type: Literal["epsilon", "v_prediction", "sample", "original_sample"] = "epsilon"
    interpolation_type: Literal["linear", "log_linear"] = "linear"
    timestep_type: Literal["discrete", "continuous"] = "discrete"
    rescale_betas_zero_snr: bool = False
    final_sigmas_type: FinalSigma = "zero"

    def is_continuous(self) -> bool:
        return self.timestep_type == "continuous" and self.prediction_type == "v_prediction"


class Scheduler(VarianceExploding):
    """Source: Karras et al. 2022, arXiv:2206.00364, algorithm 2 without churn."""

    def __init__(self, config: Config, steps: int, timesteps: Given = None, sigmas: Given = None) -> None:
        trained = training_sigmas(cumulative_alphas(config, config.rescale_betas_zero_snr))
        if sigmas is None:
            told, noise = _schedule(config, trained, steps, timesteps)
        else:
            told, noise = _given(sigmas, trained)
        if config.is_continuous():
            told = np.float32(0.25) * log(noise[:-1])
        super().__init__(told, noise, config.timestep_spacing)
        self.config = config

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        sigma, sigma_next = self.sigmas[index], self.sigmas[index + 1]
        original = predicted_original(model_output, sigma, sample, self.config.prediction_type)
        return sample + (sample - original) / sigma * (sigma_next - sigma)


def _schedule(config: Config, trained: np.ndarray, steps: int, given: Given) -> tuple[np.ndarray, np.ndarray]:
    """The timesteps, and the sigmas with the final one behind them."""
    if given is not None and config.is_continuous():
        raise BadRequest("timesteps can't be given with timestep_type 'continuous' and 'v_prediction'; give sigmas")
    told, sigmas = schedule(config, trained, steps, given)
    if config.interpolation_type == "log_linear":
        # One sigma more than timesteps, in Diffusers too: the run ends before the final one.
        sigmas = exp(linspace(float(np.log(trained[-1])), float(np.log(trained[0])), steps + 1))
        if config.has_formula():
            sigmas = config.formula_sigmas(float(sigmas[-1]), float(sigmas[0]), steps)
            told = sigmas_to_timesteps(sigmas, trained)
    return told, with_final(sigmas, trained[0] if config.final_sigmas_type == "sigma_min" else 0.0)


def _given(sigmas: np.ndarray, trained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The timesteps where the user's own sigmas lie, the final one among them."""
    values = sigmas.astype(np.float32)
    if len(values) < 2 or values[-1] < 0 or values[-2] <= 0:
        raise BadRequest(f"sigmas is {sigmas.tolist()}; it must be positive, with the final one, often 0, behind them")
    return sigmas_to_timesteps(values[:-1], trained), values
