"""Euler's method on a flow, from noise to image along the predicted velocity."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import BadRequest
from ..flow import Flow, FlowConfig, TimeShift, dynamic_mu, even_sigmas, moved
from ..sigmas import Given, SigmaConfig, with_final

CLASS_NAME = "FlowMatchEulerDiscreteScheduler"


@dataclass(frozen=True)
class Config(SigmaConfig, FlowConfig):
    """Diffusers' settings and defaults; the types say which values are supported.

    shift: moves the sigmas toward noise; with use_dynamic_shifting, a run's mu takes its place.
    shift_terminal: the last sigma.  invert_sigmas: from image to noise.
    stochastic_sampling: mix the predicted image with fresh noise at each step.
    """

    use_dynamic_shifting: bool = False
    invert_sigmas: bool = False
    shift_terminal: float | None = None
    time_shift_type: TimeShift = "exponential"
    stochastic_sampling: bool = False


class Scheduler(Flow):
    """Source: Lipman et al. 2023, arXiv:2210.02747."""

    def __init__(
        self, config: Config, steps: int, timesteps: Given = None, sigmas: Given = None, mu: float | None = None
    ) -> None:
        mu = dynamic_mu(config.use_dynamic_shifting, mu)
        trained = np.float32(config.num_train_timesteps)
        if sigmas is not None:
            start = sigmas.astype(np.float32)
        elif timesteps is not None:
            start = timesteps.astype(np.float32) / trained
        else:
            start = even_sigmas(config, 1.0 if config.use_dynamic_shifting else config.shift, steps)
        levels = _levels(config, start, mu)
        if config.invert_sigmas:
            levels = np.float32(1.0) - levels
        # Timesteps of the user's own are told as given, though their sigmas are shifted; so it is in Diffusers.
        told = levels * trained if timesteps is None or config.invert_sigmas else timesteps.astype(np.float32)
        super().__init__(told, with_final(levels, 1.0 if config.invert_sigmas else 0.0))
        self.config = config

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        sigma, sigma_next = self.sigmas[index], self.sigmas[index + 1]
        if not self.config.stochastic_sampling:
            return sample + (sigma_next - sigma) * model_output
        original = sample - sigma * model_output
        return (np.float32(1.0) - sigma_next) * original + sigma_next * draw()


def _levels(config: Config, start: np.ndarray, mu: float | None) -> np.ndarray:
    """Shifted, stretched, and spread by a formula, in this order; float32."""
    if not (start > 0).all():
        raise BadRequest(f"sigmas go down to {start.min():g}; they must be positive")
    sigmas = moved(start, config.shift, mu, config.time_shift_type, config.shift_terminal)
    if config.has_formula():
        sigmas = config.formula_sigmas(float(sigmas[-1]), float(sigmas[0]), len(sigmas))
    return sigmas.astype(np.float32)
