"""DPM-Solver and DPM-Solver++ in groups of one to three calls, each group a step of its own: DPM++ 2S."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..betas import cumulative_alphas
from ..dpm import Dpm, DpmConfig
from ..log_snr import inner_timesteps, schedule
from ..sigmas import Given, training_sigmas

CLASS_NAME = "DPMSolverSinglestepScheduler"


@dataclass(frozen=True)
class Config(DpmConfig):
    """Diffusers' settings and defaults; the types say which values are supported."""

    lower_order_final: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.algorithm_type == "sde-dpmsolver":
            raise ValueError("algorithm_type is 'sde-dpmsolver'; this scheduler has no such solver")
        if self.solves_for_noise() and self.thresholding:
            raise ValueError("thresholding needs an algorithm_type that solves for the image")


class Scheduler(Dpm):
    """Source: Lu et al. 2022, arXiv:2206.00927 and arXiv:2211.01095, in Diffusers' order of operations."""

    def __init__(self, config: Config, steps: int, timesteps: Given = None, mu: float | None = None) -> None:
        trained = training_sigmas(cumulative_alphas(config))
        if timesteps is None:
            spaced = inner_timesteps("linspace", config.usable(trained), config, steps, 0)
        else:
            spaced = config.given(timesteps)
        super().__init__(config, *schedule(config, trained, spaced, steps, mu), trained)
        self.orders = _orders(config, steps)
        self._answers: list[np.ndarray] = []
        self._start: np.ndarray = np.empty(0, dtype=np.float32)

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        self._answers = [*self._answers[-2:], self.answer(model_output, index, sample)]
        noise = draw() if self.config.adds_noise() else None
        # A run may start within a group.
        order = min(self.orders[index], len(self._answers))
        if order == 1:
            self._start = sample
        even = order == 2 and self.config.solver_type != "heun"
        terms = self._terms(index, order)
        return self.moved(index + 1 - order, index + 1, self._start, terms, noise, slope_is_even=even)

    def _terms(self, index: int, order: int) -> list[np.ndarray]:
        """The answer at the start of the group, and its differences since then, in units of the group's step."""
        first = self._answers[-order]
        lambdas = self.lambdas[index + 1 - order : index + 2]
        h = lambdas[-1] - lambdas[0]
        if order == 1 or h == 0:
            return [first]
        r0 = (lambdas[-2] - lambdas[0]) / h
        newest = (self._answers[-1] - first) / r0
        if order == 2 or self.config.solver_type != "heun":
            return [first, newest]
        r1 = (lambdas[1] - lambdas[0]) / h
        older = (self._answers[-2] - first) / r1
        return [first, (r0 * older - r1 * newest) / (r0 - r1), np.float32(2.0) * (newest - older) / (r0 - r1)]


def _orders(config: Config, steps: int) -> list[int]:
    """The order at each call: groups like 1, 2, 3, the last of them cut short where the end asks for it."""
    order = config.solver_order
    group = list(range(1, order + 1))
    if not config.lower_order_final and steps % order == 0 and config.final_sigmas_type != "zero":
        return group * (steps // order)
    whole = (steps - 1) // order
    orders = group * whole + group[: steps - whole * order]
    if config.final_sigmas_type == "zero" or orders[-1] == order:
        orders[-1] = 1
    return orders
