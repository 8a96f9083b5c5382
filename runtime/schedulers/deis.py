"""DEIS: the predicted noise of the last steps as a polynomial in log sigma, integrated over the step."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..betas import cumulative_alphas
from ..log_snr import LogSnr, LogSnrConfig, inner_timesteps, schedule
from ..rounding import exp
from ..sigmas import Spacing, training_sigmas, with_final

CLASS_NAME = "DEISMultistepScheduler"


@dataclass(frozen=True)
class Config(LogSnrConfig):
    """Diffusers' settings and defaults; the types say which values are supported.

    algorithm_type: files of DPM-Solver have other names in it, which mean the same here, as in Diffusers.
    """

    algorithm_type: Literal["deis", "dpmsolver", "dpmsolver++"] = "deis"
    solver_type: Literal["logrho", "midpoint", "heun", "bh1", "bh2"] = "logrho"
    timestep_spacing: Spacing = "linspace"
    steps_offset: int = 0


class Scheduler(LogSnr):
    """Source: Zhang and Chen 2023, arXiv:2204.13902, log-rho, in Diffusers' order of operations."""

    def __init__(self, config: Config, steps: int, mu: float | None = None) -> None:
        trained = training_sigmas(cumulative_alphas(config))
        usable = config.num_train_timesteps
        spaced = inner_timesteps(config.timestep_spacing, usable, config, steps, config.steps_offset)
        timesteps, sigmas = schedule(config, trained, spaced, steps, mu)
        # Where something else than the timesteps sets the sigmas, the last step has no length; so it is in Diffusers.
        super().__init__(config, timesteps, with_final(sigmas, trained[0] if config.is_spaced() else sigmas[-1]))
        self.config = config
        self._noises: list[np.ndarray] = []

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        alpha, alpha_next = self.alphas[index], self.alphas[index + 1]
        eps = (sample - alpha * self.predicted_original(model_output, index, sample)) / self.predicted_sigma(index)
        order = self._order(index)
        self._noises = [*self._noises[-2:], eps]
        if order == 1:
            h = self.lambdas[index + 1] - self.lambdas[index]
            return alpha_next / alpha * sample - self.sigmas[index + 1] * (exp(h) - np.float32(1.0)) * eps
        rhos = self.sigmas[index + 1 - order : index + 1][::-1] / self.alphas[index + 1 - order : index + 1][::-1]
        end = self.sigmas[index + 1] / alpha_next
        integral = _integral_of_line if order == 2 else _integral_of_parabola
        total = sample / alpha
        for i, noise in enumerate(self._noises[: -order - 1 : -1]):
            nodes = np.roll(rhos, -i)
            total = total + (integral(end, *nodes) - integral(rhos[0], *nodes)) * noise
        return alpha_next * total

    def _order(self, index: int) -> int:
        """As many answers as there are, and fewer at the end of short runs."""
        config, left = self.config, len(self.timesteps) - index
        few = config.lower_order_final and len(self.timesteps) < 15
        return min(config.solver_order, len(self._noises) + 1, left if few else config.solver_order)


def _integral_of_line(t: np.float32, b: np.float32, c: np.float32) -> np.float32:
    """Up to rho = t, of the line in log rho that is 1 at b and 0 at c."""
    return t * (-np.log(c) + np.log(t) - np.float32(1.0)) / (np.log(b) - np.log(c))


def _integral_of_parabola(t: np.float32, b: np.float32, c: np.float32, d: np.float32) -> np.float32:
    """Up to rho = t, of the parabola in log rho that is 1 at b and 0 at c and d."""
    one, two = np.float32(1.0), np.float32(2.0)
    log_b, log_c, log_d, log_t = np.log(b), np.log(c), np.log(d), np.log(t)
    numerator = t * (log_c * (log_d - log_t + one) - log_d * log_t + log_d + log_t**2 - two * log_t + two)
    return numerator / ((log_b - log_c) * (log_b - log_d))
