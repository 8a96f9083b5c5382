"""The steps of DPM-Solver and DPM-Solver++, with (sde-) or without fresh noise, from what the model has answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .errors import BadRequest
from .log_snr import LogSnr, LogSnrConfig
from .prediction import predicted_noise
from .rounding import exp
from .sigmas import FinalSigma, whole_timesteps, with_final


@dataclass(frozen=True)
class DpmConfig(LogSnrConfig):
    """Settings of both DPM-Solver schedulers, with Diffusers' defaults.

    algorithm_type: those with ++ solve for the image, the others for the noise; "deis", of that scheduler's files,
    is "dpmsolver++" here, as in Diffusers, and needs final_sigmas_type "sigma_min" there too.
    lambda_min_clipped: the least log of image over noise among the trained timesteps that are used.
    """

    algorithm_type: Literal["dpmsolver++", "sde-dpmsolver++", "dpmsolver", "sde-dpmsolver", "deis"] = "dpmsolver++"
    final_sigmas_type: FinalSigma = "zero"
    lambda_min_clipped: float = float("-inf")
    variance_type: Literal["fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.algorithm_type not in ("dpmsolver++", "sde-dpmsolver++") and self.final_sigmas_type == "zero":
            raise ValueError(f"algorithm_type {self.algorithm_type!r} needs final_sigmas_type 'sigma_min'")
        if self.solves_for_noise() and self.prediction_type == "flow_prediction":
            raise ValueError(f"algorithm_type {self.algorithm_type!r} does not take prediction_type 'flow_prediction'")

    def solves_for_noise(self) -> bool:
        return self.algorithm_type in ("dpmsolver", "sde-dpmsolver")

    def adds_noise(self) -> bool:
        return self.algorithm_type.startswith("sde-")

    def usable(self, trained: np.ndarray) -> int:
        """How many of the training sigmas lambda_min_clipped leaves, from the least noisy on."""
        return len(trained) - int(np.searchsorted(-np.log(trained[::-1]), np.float32(self.lambda_min_clipped)))

    def given(self, timesteps: np.ndarray) -> np.ndarray:
        """The user's own timesteps, where nothing else sets them."""
        if self.has_formula():
            raise BadRequest("timesteps can't be given where Karras, exponential or beta sigmas set them")
        return whole_timesteps(timesteps, self.num_train_timesteps)


class Dpm(LogSnr):
    """The steps that both DPM-Solver schedulers are made of.  Source: Lu et al. 2022, arXiv:2211.01095."""

    def __init__(self, config: DpmConfig, timesteps: np.ndarray, sigmas: np.ndarray, trained: np.ndarray) -> None:
        super().__init__(
            config, timesteps, with_final(sigmas, trained[0] if config.final_sigmas_type == "sigma_min" else 0.0)
        )
        self.config = config

    def answer(self, model_output: np.ndarray, index: int, sample: np.ndarray) -> np.ndarray:
        """What the algorithm solves for: the predicted image, or the predicted noise."""
        config, alpha, sigma = self.config, self.alphas[index], self.sigmas[index]
        if not config.solves_for_noise():
            return self.predicted_original(model_output, index, sample)
        eps = predicted_noise(model_output, alpha, sigma, sample, config.prediction_type)
        if not config.thresholding:
            return eps
        return (sample - alpha * config.limited((sample - sigma * eps) / alpha)) / sigma

    def moved(
        self,
        start: int,
        end: int,
        sample: np.ndarray,
        terms: Sequence[np.ndarray],
        noise: np.ndarray | None,
        slope_is_even: bool,
    ) -> np.ndarray:
        """The sample at one noise level carried to another.

        terms: what is solved for, at the start, then its first and second derivative in lambda, times powers of the
        step, as far as they are known.  noise: unit noise, for algorithms that add some.
        slope_is_even: take the first derivative with half the weight of the value, not with the integral's own.
        """
        h = self.lambdas[end] - self.lambdas[start]
        if h == 0:
            # Sigmas that end in sigma_min: the last step is none, and Diffusers may divide 0 by 0.
            return sample
        weights = self._weights_of_noise if self.config.solves_for_noise() else self._weights_of_image
        scale, value, slope, bend, spread = weights(start, end, h, len(terms))
        moved = scale * sample + value * terms[0]
        if len(terms) > 1:
            moved = moved + (np.float32(0.5) * value if slope_is_even else slope) * terms[1]
        if len(terms) > 2:
            moved = moved + bend * terms[2]
        return moved if noise is None else moved + spread * noise

    def _weights_of_image(self, start: int, end: int, h: np.float32, terms: int) -> tuple[np.float32, ...]:
        one, alpha, sigma = np.float32(1.0), self.alphas[end], self.sigmas[end]
        noisy = self.config.adds_noise()
        k = np.float32(2.0) * h if noisy else h
        gone = exp(-k)
        scale = sigma / self.sigmas[start]
        slope = bend = np.float32(0.0)
        if terms > 1:
            slope = alpha * ((gone - one) / k + one)
            # Diffusers adds the half in its stochastic solver and takes it off in the other; so do we.
            bend = -alpha * ((gone - one + k) / k**2 + np.float32(0.5 if noisy else -0.5))
        spread = sigma * np.sqrt(one - gone)
        return scale * exp(-h) if noisy else scale, alpha * (one - gone), slope, bend, spread

    def _weights_of_noise(self, start: int, end: int, h: np.float32, terms: int) -> tuple[np.float32, ...]:
        one, sigma = np.float32(1.0), self.sigmas[end]
        grown = exp(h) - one
        twice = np.float32(2.0 if self.config.adds_noise() else 1.0)
        slope = -twice * sigma * (grown / h - one)
        bend = -sigma * ((grown - h) / h**2 - np.float32(0.5))
        spread = sigma * np.sqrt(exp(np.float32(2.0) * h) - one)
        return self.alphas[end] / self.alphas[start], -twice * sigma * grown, slope, bend, spread
