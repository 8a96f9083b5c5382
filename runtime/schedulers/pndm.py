"""PNDM: the model's last four answers combined (PLMS), after a Runge-Kutta start or a first step taken twice."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add
from typing import Literal

import numpy as np

from ..betas import BetaConfig, cumulative_alphas
from ..errors import BadRequest
from ..sigmas import Spacing, spaced_timesteps
from ..variance_preserving import VariancePreserving

CLASS_NAME = "PNDMScheduler"
# Weights of the newest answer first, by how many there are: Adams-Bashforth.
WEIGHTS = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
RUNGE_KUTTA = (1 / 6, 1 / 3, 1 / 3, 1 / 6)


@dataclass(frozen=True)
class Config(BetaConfig):
    """Diffusers' settings and defaults; the types say which values are supported."""

    skip_prk_steps: bool = False
    set_alpha_to_one: bool = False
    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon"
    timestep_spacing: Spacing = "leading"
    steps_offset: int = 0


class Scheduler(VariancePreserving):
    """Source: Liu et al. 2022, arXiv:2202.09778, equations 9, 12 and 13; the first step as in CompVis' PLMS sampler."""

    def __init__(self, config: Config, steps: int) -> None:
        if not config.skip_prk_steps and steps < 4:
            raise BadRequest(f"steps is {steps}; {CLASS_NAME} without skip_prk_steps needs 4 or more")
        self.stride = config.num_train_timesteps // steps
        spaced = spaced_timesteps(config.timestep_spacing, config.num_train_timesteps, steps, config.steps_offset)
        calls, self._warmup = _calls(spaced.round().astype(np.int64), self.stride, config.skip_prk_steps)
        super().__init__(cumulative_alphas(config), calls, config.prediction_type)
        self.config = config
        self.final_alpha = np.float32(1.0) if config.set_alpha_to_one else self.alphas[0]
        self._count = 0
        self._outputs: list[np.ndarray] = []
        self._start: np.ndarray = np.empty(0, dtype=np.float32)
        self._mean: np.ndarray = np.empty(0, dtype=np.float32)

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        step = self._runge_kutta if self._count < self._warmup else self._multistep
        moved = step(model_output, int(self.indices[index]), sample)
        self._count += 1
        return moved

    def _multistep(self, model_output: np.ndarray, timestep: int, sample: np.ndarray) -> np.ndarray:
        if self._count == 1:
            # The first step once more, from where it began.
            mean = (model_output + self._outputs[-1]) * np.float32(0.5)
            return self._moved(self._start, timestep + self.stride, timestep, mean)
        self._start = sample
        self._outputs = [*self._outputs[-3:], model_output]
        weights = WEIGHTS[len(self._outputs) - 1]
        parts = [np.float32(weight) * output for weight, output in zip(weights, self._outputs[::-1], strict=True)]
        combined = reduce(add, parts)
        return self._moved(sample, timestep, timestep - self.stride, combined)

    def _runge_kutta(self, model_output: np.ndarray, timestep: int, sample: np.ndarray) -> np.ndarray:
        stage = self._count % 4
        previous = timestep - (0 if stage % 2 else self.stride // 2)
        if stage == 0:
            self._start = sample
            self._outputs.append(model_output)
        part = np.float32(RUNGE_KUTTA[stage]) * model_output
        self._mean = part if stage == 0 else self._mean + part
        output = self._mean if stage == 3 else model_output
        return self._moved(self._start, int(self.indices[self._count - stage]), previous, output)

    def _moved(self, sample: np.ndarray, timestep: int, previous: int, output: np.ndarray) -> np.ndarray:
        """Equation 9: the sample at the timestep, carried to the previous one along the model's answer."""
        alpha = self.alphas[timestep]
        alpha_next = self.alphas[previous] if previous >= 0 else self.final_alpha
        beta, beta_next = np.float32(1.0) - alpha, np.float32(1.0) - alpha_next
        if self.config.prediction_type == "v_prediction":
            output = np.sqrt(alpha) * output + np.sqrt(beta) * sample
        scale = alpha * np.sqrt(beta_next) + np.sqrt(alpha * beta * alpha_next)
        return np.sqrt(alpha_next / alpha) * sample - (alpha_next - alpha) * output / scale


def _calls(spaced: np.ndarray, stride: int, skip_warmup: bool) -> tuple[np.ndarray, int]:
    """The timestep of each call, and how many of them are the Runge-Kutta start."""
    if skip_warmup:
        return np.concatenate([spaced[:2], spaced[1:]]), 0
    # Four calls a step: at its start, twice halfway, at its end.
    stages = [[here, there + stride // 2, there + stride // 2, there] for here, there in pairwise(spaced[:4])]
    return np.concatenate([*stages, spaced[3:]]), 12
