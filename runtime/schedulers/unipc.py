"""UniPC: a multistep prediction, and its correction once the model has answered for the predicted sample."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Literal

import numpy as np

from ..betas import cumulative_alphas
from ..errors import BadRequest
from ..flow import dynamic_mu, moved
from ..log_snr import LogSnr, LogSnrConfig, inner_timesteps, schedule
from ..prediction import predicted_noise
from ..rounding import expm1
from ..sigmas import FinalSigma, Given, Spacing, training_sigmas, with_final

CLASS_NAME = "UniPCMultistepScheduler"


@dataclass(frozen=True)
class Config(LogSnrConfig):
    """Diffusers' settings and defaults; the types say which values are supported.

    predict_x0: solve for the image, not for the noise (which no thresholding then limits).
    disable_corrector: steps, from 0, that are not corrected.  solver_p: Diffusers takes another scheduler here.
    shift_terminal: the last sigma of a flow.
    """

    predict_x0: bool = True
    solver_type: Literal["bh1", "bh2", "midpoint", "heun", "logrho"] = "bh2"
    disable_corrector: tuple[int, ...] = ()
    solver_p: None = None
    timestep_spacing: Spacing = "linspace"
    steps_offset: int = 0
    final_sigmas_type: FinalSigma = "zero"
    rescale_betas_zero_snr: bool = False
    shift_terminal: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shift_terminal is not None and not self.use_flow_sigmas:
            raise ValueError("shift_terminal needs use_flow_sigmas")
        if self.final_sigmas_type == "zero" and (self.solver_type == "bh1" or not self.predict_x0):
            raise ValueError("solver_type 'bh1' and solving for the noise need final_sigmas_type 'sigma_min'")
        if not self.predict_x0 and self.prediction_type == "flow_prediction":
            raise ValueError("prediction_type 'flow_prediction' needs predict_x0")
        if not self.lower_order_final and self.solver_order > 1 and self.final_sigmas_type == "zero":
            raise ValueError("final_sigmas_type 'zero' needs lower_order_final: higher orders divide by zero there")


class Scheduler(LogSnr):
    """Source: Zhao et al. 2023, arXiv:2302.04867, algorithms 5 to 8, in Diffusers' order of operations."""

    def __init__(self, config: Config, steps: int, sigmas: Given = None, mu: float | None = None) -> None:
        mu = dynamic_mu(config.use_dynamic_shifting, mu)
        super().__init__(config, *_schedule(config, steps, sigmas, mu))
        self.config = config
        self._answers: list[np.ndarray] = []
        self._start: np.ndarray | None = None
        self._order = 0

    def step(
        self, model_output: np.ndarray, index: int, sample: np.ndarray, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        config = self.config
        answer = self._answer(model_output, index, sample)
        if self._start is not None and index - 1 not in config.disable_corrector:
            sample = self._moved(index - 1, self._start, self._order, corrected_by=answer)
        self._answers = [*self._answers, answer][-config.solver_order :]
        left = len(self.timesteps) - index if config.lower_order_final else config.solver_order
        self._order = min(config.solver_order, left, len(self._answers))
        self._start = sample
        return self._moved(index, sample, self._order)

    def _answer(self, model_output: np.ndarray, index: int, sample: np.ndarray) -> np.ndarray:
        if self.config.predict_x0:
            return self.predicted_original(model_output, index, sample)
        alpha, sigma = self.alphas[index], self.sigmas[index]
        return predicted_noise(model_output, alpha, sigma, sample, self.config.prediction_type)

    def _moved(self, index: int, sample: np.ndarray, order: int, corrected_by: np.ndarray | None = None) -> np.ndarray:
        """The sample at index carried to the next noise level, predicted, or corrected by the answer there."""
        h = self.lambdas[index + 1] - self.lambdas[index]
        if h == 0:
            # Sigmas that end in sigma_min: the last step is none, and Diffusers may divide 0 by 0.
            return sample
        hh = -h if self.config.predict_x0 else h
        grown = expm1(hh)
        bh = hh if self.config.solver_type == "bh1" else grown
        ratios = [(self.lambdas[index - i] - self.lambdas[index]) / h for i in range(1, order)]
        newest = self._answers[-1]
        slopes = [(self._answers[-1 - i] - newest) / ratio for i, ratio in enumerate(ratios, start=1)]
        if corrected_by is not None:
            slopes.append(corrected_by - newest)
        rhos = _rhos(np.array([*ratios, 1.0], dtype=np.float32), hh, bh, corrects=corrected_by is not None)
        kept, added = (self.sigmas, self.alphas) if self.config.predict_x0 else (self.alphas, self.sigmas)
        moved = kept[index + 1] / kept[index] * sample - added[index + 1] * grown * newest
        if not slopes:
            return moved
        # Diffusers sums up the old slopes first, then adds the corrector's.
        total = reduce(add, [rho * slope for rho, slope in zip(rhos, slopes, strict=True)])
        return moved - added[index + 1] * bh * total


def _rhos(ratios: np.ndarray, hh: np.float32, bh: np.float32, corrects: bool) -> np.ndarray:
    """The weights of the slopes, float32, (order - 1,) to predict and (order,) to correct."""
    order = len(ratios)
    if order == (1 if corrects else 2):
        return np.full(1, 0.5, dtype=np.float32)
    if order == 1:
        return np.empty(0, dtype=np.float32)
    rows, values = [], []
    phi = expm1(hh) / hh - np.float32(1.0)
    factorial = 1
    for i in range(1, order + 1):
        rows.append(ratios ** np.float32(i - 1))
        values.append(phi * np.float32(factorial) / bh)
        factorial *= i + 1
        phi = phi / hh - np.float32(1 / factorial)
    size = order if corrects else order - 1
    return np.linalg.solve(np.stack(rows)[:size, :size], np.array(values, dtype=np.float32)[:size])


def _schedule(config: Config, steps: int, given: Given, mu: float | None) -> tuple[np.ndarray, np.ndarray]:
    """The timesteps, and the sigmas with the final one behind them."""
    trained = training_sigmas(cumulative_alphas(config, config.rescale_betas_zero_snr))
    if given is not None and not config.use_flow_sigmas:
        raise BadRequest("sigmas can't be given without use_flow_sigmas")
    if config.use_flow_sigmas:
        sigmas = _flow_sigmas(config, trained, steps, given, mu)
        timesteps = sigmas * config.num_train_timesteps
    else:
        usable = config.num_train_timesteps
        spaced = inner_timesteps(config.timestep_spacing, usable, config, steps, config.steps_offset)
        timesteps, sigmas = schedule(config, trained, spaced, steps)
    if config.final_sigmas_type == "zero":
        return timesteps, with_final(sigmas, 0.0)
    return timesteps, with_final(sigmas, trained[0] if config.is_spaced() else sigmas[-1])


def _flow_sigmas(config: Config, trained: np.ndarray, steps: int, given: Given, mu: float | None) -> np.ndarray:
    if config.use_karras_sigmas and given is None:
        ratios = config.formula_sigmas(float(trained[0]), float(trained[-1]), steps)
        return ratios / (ratios + 1)
    if config.has_formula():
        raise BadRequest("use_flow_sigmas goes with Karras sigmas, not with exponential, beta or given ones as well")
    even = np.linspace(1, 1 / config.num_train_timesteps, steps + 1)[:-1]
    sigmas = even if given is None else given
    sigmas = moved(sigmas, config.flow_shift, mu, config.time_shift_type, config.shift_terminal)
    # A sigma of 1 leaves no image, whose share is divided by.
    return np.where(np.abs(sigmas - 1) < 1e-6, sigmas - 1e-6, sigmas)
