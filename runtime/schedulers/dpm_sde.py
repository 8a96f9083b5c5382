"""DPM++ SDE: an ancestral step to the middle of each step, in log sigma, and another over all of it."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import numpy as np

from ..betas import cumulative_alphas
from ..brownian import BrownianTree
from ..rounding import exp, expm1, log
from ..sigmas import sigmas_to_timesteps, training_sigmas, with_final
from ..variance_exploding import FormulaConfig, ancestral, predicted_original, schedule
from .dpm2 import TwoStages

CLASS_NAME = "DPMSolverSDEScheduler"


@dataclass(frozen=True)
class Config(FormulaConfig):
    """Diffusers' settings and defaults; the types say which values are supported.

    noise_sampler_seed: of the Brownian motion that the noise is taken from, for a batch as a whole. Without one,
    Diffusers takes a seed from torch's global generator, so that its picture changes from run to run; here each image
    then has a motion of its own, whose seed is a draw of the image's generator.
    """

    karras_has_limits: ClassVar[bool] = False

    beta_start: float = 0.00085
    beta_end: float = 0.012
    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon"
    noise_sampler_seed: int | None = None


class Scheduler(TwoStages):
    """The Brownian noise is torchsde's own for a given noise_sampler_seed.

    It is asked for at sigmas rounded to 1e-6, a float32's last bit above 8: where a machine rounds a logarithm
    otherwise, its noise differs by up to 1 part in 1000 of one step, in Diffusers as well.
    Source: Lu et al. 2022, arXiv:2211.01095, and Crowson's k-diffusion, sample_dpmpp_sde.
    """

    def __init__(self, config: Config, steps: int) -> None:
        trained = training_sigmas(cumulative_alphas(config))
        timesteps, sigmas = schedule(config, trained, steps, dtype=np.float64)
        logs = -np.log(sigmas)
        between = sigmas_to_timesteps(np.exp(-(logs[:-1] + np.diff(logs) * 0.5)), trained)
        noise = with_final(sigmas, 0.0)
        middles = [exp(-_middle(*pair)) for pair in pairwise(noise[:-1])]
        super().__init__(config, timesteps, noise, between, np.array(middles, dtype=np.float32))
        self.config = config
        self._trees: list[BrownianTree] = []

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        sigma, sigma_next = self.noise[index // 2], self.noise[index // 2 + 1]
        original = predicted_original(model_output, self.seen_sigma(index), sample, self.config.prediction_type)
        if not self._trees:
            self._trees = self._planted(sample.shape, draw)
        if sigma_next == 0:
            return sample + (sample - original) / sigma * (sigma_next - sigma)
        time = -log(sigma)
        if index % 2 == 0:
            self._start = sample
            there = exp(-_middle(sigma, sigma_next))
        else:
            assert self._start is not None, "a run starts at the start of a step"
            there = exp(log(sigma_next))
        here = exp(-time)
        sigma_down, sigma_up = ancestral(here, there)
        if sigma_up > there:
            sigma_down, sigma_up = np.float32(0.0), there
        down_time = -log(sigma_down)
        moved = exp(-down_time) / here * self._start - expm1(time - down_time) * original
        return moved + self._noise(there, here, sample.shape) * sigma_up

    def _planted(self, shape: tuple[int, ...], draw: Callable[[], np.ndarray]) -> list[BrownianTree]:
        low, high = float(self.noise[:-1].min()), float(self.noise.max())
        if self.config.noise_sampler_seed is not None:
            return [BrownianTree(self.config.noise_sampler_seed, low, high, shape)]
        words = draw().reshape(shape[0], -1)[:, :2].astype(np.float32)
        return [BrownianTree(int.from_bytes(word.tobytes(), "little"), low, high, shape[1:]) for word in words]

    def _noise(self, low: np.float32, high: np.float32, shape: tuple[int, ...]) -> np.ndarray:
        """Unit noise: the motion between two sigmas, of a batch's one tree or of each image's own."""
        motion = np.stack([tree.increment(float(low), float(high)) for tree in self._trees]).reshape(shape)
        return -motion / np.sqrt(np.abs(low - high))


def _middle(sigma: np.float32, sigma_next: np.float32) -> np.float32:
    """The middle of a step as time, which is -log sigma."""
    time, time_next = -log(sigma), -log(sigma_next)
    middle: np.float32 = time + (time_next - time) * np.float32(0.5)
    return middle
