"""Heun's method on a flow: each step once more, along the mean of the velocities at its two ends."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..flow import Flow, FlowConfig, even_sigmas, shifted
from ..sigmas import with_final
from .heun import TwoEnds, at_both_ends

CLASS_NAME = "FlowMatchHeunDiscreteScheduler"


@dataclass(frozen=True)
class Config(FlowConfig):
    """Diffusers' settings and defaults; the types say which values are supported."""


class Scheduler(Flow):
    """Source: Esser et al. 2024, arXiv:2403.03206, with Karras et al. 2022, arXiv:2206.00364, algorithm 1."""

    calls_per_step = 2

    def __init__(self, config: Config, steps: int) -> None:
        levels = shifted(even_sigmas(config, config.shift, steps), config.shift).astype(np.float32)
        calls = at_both_ends(levels)
        super().__init__(calls * np.float32(config.num_train_timesteps), with_final(calls, 0.0))
        self.config = config
        self._method = TwoEnds(self.sigmas)

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        sigma = self.sigmas[index]
        # The velocity itself, but rounded as in Diffusers, which takes the way over the predicted image.
        slope = (sample - (sample - model_output * sigma)) / sigma
        return self._method.moved(slope, index, sample)
