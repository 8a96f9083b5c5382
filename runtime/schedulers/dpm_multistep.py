"""DPM-Solver and DPM-Solver++, first to third order from the answers of the last steps: DPM++ 2M, 2M SDE and 3M SDE."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..betas import cumulative_alphas
from ..dpm import Dpm, DpmConfig
from ..errors import BadRequest
from ..log_snr import inner_timesteps, schedule
from ..sigmas import Given, Spacing, sigmas_to_timesteps, training_sigmas

CLASS_NAME = "DPMSolverMultistepScheduler"


@dataclass(frozen=True)
class Config(DpmConfig):
    """Diffusers' settings and defaults; the types say which values are supported."""

    euler_at_final: bool = False
    use_lu_lambdas: bool = False
    timestep_spacing: Spacing = "linspace"
    steps_offset: int = 0
    rescale_betas_zero_snr: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.algorithm_type == "sde-dpmsolver" and self.solver_order == 3:
            raise ValueError("algorithm_type 'sde-dpmsolver' has no solver_order 3")
        if self.use_lu_lambdas and (self.has_formula() or self.use_flow_sigmas):
            raise ValueError("use_lu_lambdas can't be on together with other sigmas")


class Scheduler(Dpm):
    """Source: Lu et al. 2022, arXiv:2211.01095, in Diffusers' order of operations."""

    config: Config

    def __init__(self, config: Config, steps: int, timesteps: Given = None, mu: float | None = None) -> None:
        trained = training_sigmas(cumulative_alphas(config, config.rescale_betas_zero_snr))
        super().__init__(config, *_schedule(config, trained, steps, timesteps, mu), trained)
        self._answers: list[np.ndarray] = []

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        order = self._order(index)
        self._answers = [*self._answers[-2:], self.answer(model_output, index, sample)]
        noise = draw() if self.config.adds_noise() else None
        even = order == 2 and self.config.solver_type != "heun"
        terms = [self._answers[-1], *self._differences(index, order)]
        return self.moved(index, index + 1, sample, terms, noise, slope_is_even=even)

    def _order(self, index: int) -> int:
        """As many answers as there are, and fewer at the end of the run where that is steadier."""
        config, left = self.config, len(self.timesteps) - index
        order = min(config.solver_order, len(self._answers) + 1)
        few = config.lower_order_final and len(self.timesteps) < 15
        if left == 1 and (few or config.euler_at_final or config.final_sigmas_type == "zero"):
            return 1
        return min(order, 2) if left == 2 and few else order

    def _differences(self, index: int, order: int) -> list[np.ndarray]:
        """First and second differences of the answers, in units of this step, as the order asks for."""
        h = self.lambdas[index + 1] - self.lambdas[index]
        if order == 1 or h == 0:
            return []
        r0 = (self.lambdas[index] - self.lambdas[index - 1]) / h
        newest = (self._answers[-1] - self._answers[-2]) / r0
        if order == 2:
            return [newest]
        r1 = (self.lambdas[index - 1] - self.lambdas[index - 2]) / h
        change = newest - (self._answers[-2] - self._answers[-3]) / r1
        return [newest + r0 / (r0 + r1) * change, change / (r0 + r1)]


def _schedule(
    config: Config, trained: np.ndarray, steps: int, given: Given, mu: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """The timesteps and the sigmas, float64."""
    rounds = config.beta_schedule != "squaredcos_cap_v2"
    if config.use_lu_lambdas:
        if given is not None:
            raise BadRequest("timesteps can't be given where use_lu_lambdas sets them")
        # Evenly spaced in lambda is evenly spaced in log sigma.
        sigmas = np.exp(np.linspace(float(np.log(trained[-1])), float(np.log(trained[0])), steps))
        timesteps = sigmas_to_timesteps(sigmas, trained)
        return timesteps.round() if rounds else timesteps, sigmas
    if given is None:
        usable = config.usable(trained)
        spaced = inner_timesteps(config.timestep_spacing, usable, config, steps, config.steps_offset)
    else:
        spaced = config.given(given)
    return schedule(config, trained, spaced, steps, mu, rounds_karras=rounds)
