"""DPM2: each step along the slope at its middle, in log sigma."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..betas import cumulative_alphas
from ..rounding import exp, log
from ..sigmas import sigmas_to_timesteps, training_sigmas, with_final
from ..variance_exploding import FormulaConfig, VarianceExploding, predicted_original, scaled_input, schedule

CLASS_NAME = "KDPM2DiscreteScheduler"


@dataclass(frozen=True)
class Config(FormulaConfig):
    """Diffusers' settings and defaults; the types say which values are supported."""

    beta_start: float = 0.00085
    beta_end: float = 0.012
    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon"


class TwoStages(VarianceExploding):
    """Schedulers that call the model at the start of a step, at its middle, and once for the last step, to 0.

    noise: (steps + 1,) float32, the sigmas that steps start from, and 0.
    middles: (steps - 1,) float32, the sigma at the middle of each step but the last.
    A run starts at the start of a step: at an even index.
    """

    calls_per_step = 2

    def __init__(
        self, config: FormulaConfig, timesteps: np.ndarray, noise: np.ndarray, between: np.ndarray, middles: np.ndarray
    ) -> None:
        calls = np.insert(timesteps[1:].astype(np.float64), np.arange(len(between)), between)
        sigmas = np.append(noise[:1], noise[1:].repeat(2))
        super().__init__(np.append(timesteps[:1], calls), sigmas, config.timestep_spacing)
        self.noise = noise
        self.middles = np.append(middles, np.float32(0.0))
        self._start: np.ndarray | None = None

    def scale_model_input(self, sample: np.ndarray, index: int) -> np.ndarray:
        return scaled_input(sample, self.seen_sigma(index))

    def seen_sigma(self, index: int) -> np.float32:
        """The sigma of the sample that the model sees at a call."""
        levels = self.middles if index % 2 else self.noise
        return levels[index // 2]


class Midpoint(TwoStages):
    """Both DPM2 schedulers; the ancestral one ends a step lower than the other and adds noise."""

    def __init__(
        self, config: Config, steps: int, stops: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    ) -> None:
        trained = training_sigmas(cumulative_alphas(config))
        timesteps, sigmas = schedule(config, trained, steps)
        noise = with_final(sigmas, 0.0)
        self.stops, self.added = stops(noise)
        middles = exp(np.float32(0.5) * (log(noise[:-2]) + log(self.stops[:-1])))
        told = timesteps.round() if config.use_karras_sigmas else timesteps
        super().__init__(config, told, noise, sigmas_to_timesteps(middles, trained), middles)
        self.config = config

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        step, sigma = index // 2, self.seen_sigma(index)
        slope = (sample - predicted_original(model_output, sigma, sample, self.config.prediction_type)) / sigma
        if index % 2 == 0:
            self._start = sample
            return sample + slope * (self.middles[step] - sigma)
        assert self._start is not None, "a run starts at the start of a step"
        moved = self._start + slope * (self.stops[step] - self.noise[step])
        return moved + draw() * self.added[step] if self.added.any() else moved


class Scheduler(Midpoint):
    """Source: Karras et al. 2022, arXiv:2206.00364, and Crowson's k-diffusion, sample_dpm_2."""

    def __init__(self, config: Config, steps: int) -> None:
        super().__init__(config, steps, lambda noise: (noise[1:], np.zeros_like(noise[1:])))
