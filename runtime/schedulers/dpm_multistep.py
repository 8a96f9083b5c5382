"""DPM-Solver++: first to third order in the predicted image, with (sde-) or without fresh noise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..betas import BetaConfig, cumulative_alphas
from ..errors import BadRequest
from ..sigmas import SigmaConfig, Spacing, sigmas_to_timesteps, spaced_timesteps, training_sigmas

CLASS_NAME = "DPMSolverMultistepScheduler"


@dataclass(frozen=True)
class Config(SigmaConfig, BetaConfig):
    """Diffusers' settings and defaults; the types say which values are supported.

    Files of DEIS and UniPC have other names in solver_type; Diffusers then takes "midpoint", and so do we.
    """

    solver_order: Literal[1, 2, 3] = 2
    prediction_type: Literal["epsilon", "v_prediction", "sample"] = "epsilon"
    thresholding: Literal[False] = False
    algorithm_type: Literal["dpmsolver++", "sde-dpmsolver++"] = "dpmsolver++"
    solver_type: Literal["midpoint", "heun", "logrho", "bh1", "bh2"] = "midpoint"
    lower_order_final: bool = True
    euler_at_final: bool = False
    use_lu_lambdas: Literal[False] = False
    use_flow_sigmas: Literal[False] = False
    lambda_min_clipped: float = float("-inf")
    variance_type: Literal["fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"] | None = None
    timestep_spacing: Spacing = "linspace"
    steps_offset: int = 0
    rescale_betas_zero_snr: bool = False
    use_dynamic_shifting: Literal[False] = False


class Scheduler:
    """Source: Lu et al. 2022, arXiv:2211.01095, in Diffusers' order of operations."""

    init_noise_sigma = 1.0

    def __init__(self, config: Config, steps: int) -> None:
        self.config = config
        self.timesteps, sigmas = _schedule(config, steps)
        # From sigma = noise / image: the factor of each in a sample of unit variance, and the log of image / noise.
        self.alphas = np.float32(1.0) / np.sqrt(sigmas**2 + np.float32(1.0))
        self.sigmas = sigmas * self.alphas
        with np.errstate(divide="ignore"):
            self.lambdas = np.log(self.alphas) - np.log(self.sigmas)
        self._originals: list[np.ndarray] = []

    def scale_model_input(self, sample: np.ndarray, index: int) -> np.ndarray:
        return sample

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        order = self._order(index)
        self._originals = [*self._originals[-2:], self._predicted_original(model_output, index, sample)]
        stochastic = self.config.algorithm_type == "sde-dpmsolver++"
        one, alpha, sigma = np.float32(1.0), self.alphas[index + 1], self.sigmas[index + 1]
        h = self.lambdas[index + 1] - self.lambdas[index]
        noise = draw() if stochastic else None
        if h == 0:
            # Karras sigmas that end in sigma_min: the last step is none, and Diffusers may divide 0 by 0.
            return sample
        k = np.float32(2.0) * h if stochastic else h
        gone = np.exp(-k)
        scale = sigma / self.sigmas[index]
        moved = (scale * np.exp(-h) if stochastic else scale) * sample + alpha * (one - gone) * self._originals[-1]
        if order > 1:
            slope, bend = self._differences(index, order)
            if order == 2 and self.config.solver_type != "heun":
                moved = moved + np.float32(0.5) * (alpha * (one - gone)) * slope
            else:
                moved = moved + alpha * ((gone - one) / k + one) * slope
            if order == 3:
                # Diffusers adds the half in its stochastic solver and takes it off in the other; so do we.
                half = np.float32(0.5 if stochastic else -0.5)
                moved = moved - alpha * ((gone - one + k) / k**2 + half) * bend
        return moved if noise is None else moved + sigma * np.sqrt(one - gone) * noise

    def add_noise(self, original: np.ndarray, noise: np.ndarray, index: int) -> np.ndarray:
        return self.alphas[index] * original + self.sigmas[index] * noise

    def _order(self, index: int) -> int:
        """As many answers as there are, and fewer at the end of the run where that is steadier."""
        config, left = self.config, len(self.timesteps) - index
        order = min(config.solver_order, len(self._originals) + 1)
        few = config.lower_order_final and len(self.timesteps) < 15
        if left == 1 and (few or config.euler_at_final or config.final_sigmas_type == "zero"):
            return 1
        return min(order, 2) if left == 2 and few else order

    def _predicted_original(self, model_output: np.ndarray, index: int, sample: np.ndarray) -> np.ndarray:
        alpha, sigma = self.alphas[index], self.sigmas[index]
        if self.config.prediction_type == "epsilon":
            return (sample - sigma * model_output) / alpha
        if self.config.prediction_type == "v_prediction":
            return alpha * sample - sigma * model_output
        return model_output

    def _differences(self, index: int, order: int) -> tuple[np.ndarray, np.ndarray]:
        """First and second differences of the predicted images, in units of this step; the second is 0 in order 2."""
        h = self.lambdas[index + 1] - self.lambdas[index]
        r0 = (self.lambdas[index] - self.lambdas[index - 1]) / h
        newest = (self._originals[-1] - self._originals[-2]) / r0
        if order == 2:
            return newest, np.zeros_like(newest)
        r1 = (self.lambdas[index - 1] - self.lambdas[index - 2]) / h
        change = newest - (self._originals[-2] - self._originals[-3]) / r1
        return newest + r0 / (r0 + r1) * change, change / (r0 + r1)


def _schedule(config: Config, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The timesteps, and the sigmas with the final one behind them; both float32."""
    trained = training_sigmas(cumulative_alphas(config, config.rescale_betas_zero_snr))
    formula = config.formula()
    if formula is None:
        timesteps = _timesteps(config, trained, steps)
        sigmas = np.interp(timesteps, np.arange(len(trained)), trained)
    else:
        sigmas = formula(float(trained[0]), float(trained[-1]), steps)
        timesteps = sigmas_to_timesteps(sigmas, trained)
        if config.use_karras_sigmas and config.beta_schedule != "squaredcos_cap_v2":
            timesteps = timesteps.round()
    if (np.diff(sigmas.astype(np.float32)) >= 0).any():
        raise BadRequest(f"steps is {steps}; that is too many for {CLASS_NAME} with these settings: two steps coincide")
    # Diffusers cuts off what is not rounded.
    return timesteps.astype(np.int64).astype(np.float32), config.with_final(sigmas, trained)


def _timesteps(config: Config, trained: np.ndarray, steps: int) -> np.ndarray:
    """Timesteps that leave out the noisiest, where log alpha / sigma is under lambda_min_clipped; float64."""
    lambdas = -np.log(trained[::-1])
    usable = len(trained) - int(np.searchsorted(lambdas, np.float32(config.lambda_min_clipped)))
    if config.timestep_spacing == "trailing":
        return np.arange(usable, 0, -config.num_train_timesteps / steps).round() - 1
    # One more than asked for: the last would be the image itself.
    return spaced_timesteps(config.timestep_spacing, usable, steps + 1, config.steps_offset)[:-1].round()
