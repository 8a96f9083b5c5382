"""A scheduler's run as numbers: every sample as a weighted sum of what there was before."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from ..scheduler import Scheduler


@dataclass(frozen=True)
class Program:
    """What a run computes, as sums over terms: the first sample, and then of each step its answers and its noises.

    told: (steps, terms) float32, what the denoiser sees at each step.  left: (steps, terms) float32, the sample that
    each step leaves.
    answers: the term that each step's first answer becomes.  noises: the terms that noise is drawn for, by step.
    """

    told: np.ndarray
    left: np.ndarray
    answers: tuple[int, ...]
    noises: tuple[tuple[int, ...], ...]

    @property
    def terms(self) -> int:
        """How many there are."""
        return int(self.told.shape[1])


def trace(scheduler: Scheduler, span: range, shares: tuple[float, ...]) -> Program | None:
    """The program of a run, or None for a scheduler that does more than add and multiply by numbers.

    scheduler: not changed.  span: the indices of its timesteps that are run.
    shares: of each answer in the model's output: (1,), or of the halves of guidance (1 - scale, scale).
    The scheduler itself runs, once, over sums in place of arrays.
    """
    mine, terms = deepcopy(scheduler), 1
    sample = Sum({0: 1.0})
    told, left, answers, noises = [], [], [], []
    drawn: list[int] = []

    def draw() -> Sum:
        nonlocal terms
        drawn.append(terms)
        terms += 1
        return Sum({drawn[-1]: 1.0})

    for index in span:
        try:
            told.append(_sum(mine.scale_model_input(sample, index)))  # type: ignore[arg-type]
            answers.append(terms)
            output = Sum({terms + i: share for i, share in enumerate(shares)})
            terms += len(shares)
            drawn = []
            sample = _sum(mine.step(output, index, sample, draw))  # type: ignore[arg-type]
        except (TypeError, AttributeError):  # what a sum can't do
            return None
        left.append(sample)
        noises.append(tuple(drawn))
    return Program(_matrix(told, terms), _matrix(left, terms), tuple(answers), tuple(noises))


class Sum:
    """A weighted sum of terms, which stands for an array where a scheduler only adds and multiplies by numbers."""

    __array_ufunc__ = None  # NumPy's numbers leave the arithmetic to this class
    __slots__ = ("weights",)

    def __init__(self, weights: Mapping[int, float]) -> None:
        self.weights = weights

    def __array__(self, *_: object, **__: object) -> np.ndarray:
        raise TypeError("a sum of terms is no array")

    def __add__(self, other: Sum) -> Sum:
        if not isinstance(other, Sum):
            return NotImplemented
        ours, theirs = self.weights, other.weights
        return Sum({term: ours.get(term, 0.0) + theirs.get(term, 0.0) for term in {**ours, **theirs}})

    def __mul__(self, factor: float) -> Sum:
        # A 0-d array is a number too; anything larger is not, and neither is another sum.
        number = float(factor)
        return Sum({term: weight * number for term, weight in self.weights.items()})

    def __neg__(self) -> Sum:
        return self * -1.0

    def __sub__(self, other: Sum) -> Sum:
        return self + -other

    def __truediv__(self, divisor: float) -> Sum:
        return Sum({term: weight / float(divisor) for term, weight in self.weights.items()})

    __rmul__ = __mul__


def _sum(value: object) -> Sum:
    if not isinstance(value, Sum):
        raise TypeError(f"{type(value).__name__} is no sum of terms")
    return value


def _matrix(sums: list[Sum], terms: int) -> np.ndarray:
    rows = np.zeros((len(sums), terms), np.float32)
    for row, found in zip(rows, sums, strict=True):
        for term, weight in found.weights.items():
            row[term] = weight
    return rows
