"""Flow matching's noise levels: sigma is the noise's share of a sample, from 1 to 0; shifts move it toward noise."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .errors import BadRequest

TimeShift = Literal["exponential", "linear"]


def shifted(sigmas: np.ndarray, shift: float) -> np.ndarray:
    """Source: Esser et al. 2024, arXiv:2403.03206, equation 23."""
    return shift * sigmas / (1 + (shift - 1) * sigmas)


def moved(sigmas: np.ndarray, shift: float, mu: float | None, kind: TimeShift, terminal: float | None) -> np.ndarray:
    """Sigmas shifted, dynamically if there is a mu, and stretched so that the last of them is terminal.

    Raises BadRequest if that can't be: all of them are 1.
    """
    sigmas = shifted(sigmas, shift) if mu is None else _dynamically_shifted(sigmas, mu, kind)
    if not terminal:
        return sigmas
    image = 1 - sigmas
    if image[-1] == 0:
        raise BadRequest("shift_terminal can't move a schedule that stays at sigma 1; take more steps")
    return 1 - image / (image[-1] / (1 - terminal))


def dynamic_mu(uses: bool, mu: float | None) -> float | None:
    """A run's mu where use_dynamic_shifting is on, else None.  Raises BadRequest if it is on and there is no mu."""
    if uses and mu is None:
        raise BadRequest("use_dynamic_shifting needs mu")
    return mu if uses else None


def _dynamically_shifted(sigmas: np.ndarray, mu: float, kind: TimeShift) -> np.ndarray:
    """The shift in the form that Flux gave it, which is mu, or its exponential."""
    shift = math.exp(mu) if kind == "exponential" else mu
    return shift / (shift + (1 / sigmas - 1))


@dataclass(frozen=True)
class FlowConfig:
    """Settings of every flow matching scheduler, with Diffusers' defaults."""

    num_train_timesteps: int = 1000
    shift: float = 1.0


class Flow:
    """The noise levels of such a run, and the half of the Scheduler protocol that follows from them.

    sigmas: (calls + 1,) float32, of each call and of the end.
    """

    init_noise_sigma = 1.0
    calls_per_step = 1

    def __init__(self, timesteps: np.ndarray, sigmas: np.ndarray) -> None:
        self.timesteps = timesteps
        self.sigmas = sigmas

    def scale_model_input(self, sample: np.ndarray, index: int) -> np.ndarray:
        return sample

    def add_noise(self, original: np.ndarray, noise: np.ndarray, index: int) -> np.ndarray:
        sigma = self.sigmas[index]
        return sigma * noise + (np.float32(1.0) - sigma) * original


def even_sigmas(config: FlowConfig, shift: float, steps: int) -> np.ndarray:
    """Evenly spaced sigmas between the ends of the training schedule, float64, still to be shifted.

    shift: of the training schedule. Diffusers shifts its ends here and the sigmas between them again later; so do we.
    """
    trained = config.num_train_timesteps
    ends = np.array([trained, 1], dtype=np.float32) / np.float32(trained)
    high, low = shifted(ends, shift).tolist()
    return np.linspace(high * trained, low * trained, steps) / trained
