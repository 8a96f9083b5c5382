"""Which numbers the 8 bits of an activation stand for: one range for all timesteps, and a factor for each channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..runtime.errors import BadProfile
from .activations import Activation

METHODS = ("error", "percentile", "extremes")
# Shares of the extremes that the range may cover; below, clipping costs more than finer steps give.
SHARES = (1.0, 0.93, 0.86, 0.8, 0.74, 0.68, 0.62, 0.56, 0.5, 0.44, 0.38, 0.32, 0.26, 0.2)
# How far a channel's spread is moved from the activation to the weights; 0 leaves both as they are.
BALANCES = (0.0, 0.35, 0.5, 0.65)
LARGEST_FACTOR = 64.0  # of a channel, against the others'
WORTH = 0.9  # a balance must lower the error to this share, for it costs a multiplication
MOST_VALUES = 1 << 17  # that are looked at
STEPS = 127  # of a channel's weights, on either side of 0


@dataclass(frozen=True)
class Range:
    """A value is (code - zero_point) * scale, its code in int8, or in uint8 where there is a zero point.

    factors: (channels,), by which the activation is multiplied before, and the weights are divided; None: by 1.
    error: share of the output's mean square that is lost, by the activation and the weights together.
    """

    scale: np.float32
    zero_point: int | None
    factors: np.ndarray | None
    error: float


@dataclass(frozen=True)
class Wishes:
    """How a range is found.

    method: "extremes" covers all that was seen; "percentile" that share, in %, of the values' magnitudes; "error" has
    the least squared error of the layer's output.  symmetric: 0 in the middle of the codes, which wastes half of them
    behind a SiLU; TensorRT knows no other.
    balance: try factors, which move the spread between channels to the weights.
    """

    method: str = "error"
    symmetric: bool = False
    percentile: float = 99.99
    balance: bool = True


@dataclass(frozen=True)
class Codes:
    """What 8 bits can say.

    largest: code where 0 is in the middle.  fake: (values, scale, zero point) -> the values as they come back, float32.
    lost: a weight, (out, channels, ...) -> (channels,), the squared error of each channel's weights.
    """

    largest: float
    fake: Callable[[np.ndarray, np.float32, int | None], np.ndarray]
    lost: Callable[[np.ndarray], np.ndarray]


def check_wishes(scheme: str, settings: Mapping[str, Any]) -> None:
    """Raises BadProfile for settings that are fields of Wishes, and have no value that those can have."""
    if settings["method"] not in METHODS:
        raise BadProfile(f"{scheme} has method {', '.join(METHODS)}, not {settings['method']!r}")
    for name in ("symmetric", "balance"):
        if not isinstance(settings.get(name, True), bool):
            raise BadProfile(f"{scheme}'s {name} is true or false, not {settings[name]!r}")
    share = settings["percentile"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 90 <= share <= 100:
        raise BadProfile(f"{scheme}'s percentile is from 90 to 100, not {share!r}")


def find_range(activation: Activation, weight: np.ndarray, wishes: Wishes, codes: Codes | None = None) -> Range:
    """The range of an activation that a layer reads.

    weight: (out, channels, ...), of a grouped convolution (out, channels / groups, ...).  codes: None: INTEGERS.
    Errors are taken for independent noise, and each call counts in units of its own output's mean square, so that a
    timestep of small numbers weighs as much as one of large ones.
    Source of the factors: Xiao et al. 2023, arXiv:2211.10438, with the exponent searched.
    """
    codes = INTEGERS if codes is None else codes
    groups = activation.low.shape[1] // weight.shape[1]
    if groups > 1:
        # Every channel of a grouped convolution has weights in one group of outputs only.
        beside = np.concatenate(np.split(weight, groups), axis=1)
        return find_range(activation, beside, replace(wishes, balance=False), codes)
    columns = np.moveaxis(weight, 1, 0).reshape(weight.shape[1], -1)
    largest = np.abs(columns).max(1)
    magnitude = np.maximum(-activation.low.min(0), activation.high.max(0))
    plain = _tried(activation, weight, None, wishes, codes)
    best = plain
    for share in BALANCES[1:] if wishes.balance else ():
        factors = _factors(magnitude, largest, share)
        found = _tried(activation.times(factors), weight, factors, wishes, codes)
        if found.error < min(best.error, WORTH * plain.error):
            best = found
    return best


def fake(values: np.ndarray, scale: np.float32, zero_point: int | None) -> np.ndarray:
    """The values as 8 bits give them back, float32."""
    steps = np.rint(values / scale)
    low, high = (-128, 127) if zero_point is None else (-zero_point, 255 - zero_point)
    rounded = np.clip(steps, low, high)
    given: np.ndarray = rounded * scale
    return given


def _lost(weight: np.ndarray) -> np.ndarray:
    """Of a scale for each output, whose steps have errors of any size in them."""
    widths = np.abs(weight).max(axis=tuple(range(1, weight.ndim))) / np.float32(STEPS)
    elements = weight[0, 0].size
    return np.full(weight.shape[1], float(np.sum(widths.astype(np.float64) ** 2)) * elements / 12)


INTEGERS = Codes(127, fake, _lost)


def _factors(magnitude: np.ndarray, largest: np.ndarray, share: float) -> np.ndarray:
    """1 / s of each channel, s = magnitude ** share / largest ** (1 - share), around a geometric mean of 1."""
    known = (magnitude > 0) & (largest > 0)
    logs = np.zeros(len(magnitude))
    logs[known] = (1 - share) * np.log(largest[known].astype(np.float64)) - share * np.log(magnitude[known])
    if known.any():
        logs[known] -= logs[known].mean()
    limit = np.log(LARGEST_FACTOR)
    return np.exp(np.clip(logs, -limit, limit)).astype(np.float32)


def _tried(
    activation: Activation, weight: np.ndarray, factors: np.ndarray | None, wishes: Wishes, codes: Codes
) -> Range:
    """The best range of an activation to which the factors were applied already."""
    rows, counts = _sample(activation)
    shape = (1, -1, *(1,) * (weight.ndim - 2))
    scaled = weight if factors is None else weight / factors.reshape(shape)
    importance = np.einsum("ci,ci->c", *(2 * [np.moveaxis(scaled, 1, 0).reshape(weight.shape[1], -1)]))
    power = rows**2 @ importance
    counted = np.repeat(np.arange(len(counts)), counts)
    of_call = np.bincount(counted, power, len(counts))
    shares = np.where(of_call > 0, 1 / np.where(of_call > 0, of_call, 1), 0)[counted] / len(counts)

    lost_by_weights = float(shares @ (rows**2 @ codes.lost(scaled)))
    best: Range | None = None
    for low, high in _candidates(activation, wishes):
        scale, zero_point = _grid(low, high, codes.largest if wishes.symmetric else None)
        lost = float(shares @ ((codes.fake(rows, scale, zero_point) - rows) ** 2 @ importance))
        if best is None or lost + lost_by_weights < best.error:
            best = Range(scale, zero_point, factors, lost + lost_by_weights)
    assert best is not None
    return best


def _candidates(activation: Activation, wishes: Wishes) -> list[tuple[float, float]]:
    low, high = min(float(activation.low.min()), 0.0), max(float(activation.high.max()), 0.0)
    if wishes.method == "percentile":
        magnitudes = np.concatenate([np.abs(rows).reshape(-1) for rows in activation.rows])
        within = float(np.percentile(magnitudes, wishes.percentile))
        low, high = max(low, -within), min(high, within)
    shares = SHARES if wishes.method == "error" else (1.0,)
    return [(low * share, high * share) for share in shares]


def _grid(low: float, high: float, largest: float | None) -> tuple[np.float32, int | None]:
    """largest: code with 0 in the middle; None: 0 to 255."""
    width = np.float32((high - low) / 255 if largest is None else max(-low, high) / largest)
    scale = width if width > 0 else np.float32(1)
    return scale, None if largest is not None else int(np.clip(np.rint(-low / float(scale)), 0, 255))


def _sample(activation: Activation) -> tuple[np.ndarray, list[int]]:
    """Rows of all calls, (n, channels), and how many are of each.

    Every channel's extremes count as two rows of a call: they were there, and rows that nobody sampled come near them;
    with the rows alone, ranges were too narrow for prompts that were not calibrated with.
    """
    values = sum(rows.size for rows in activation.rows)
    step = max(1, -(-values // MOST_VALUES))
    taken = []
    for index, (rows, low, high) in enumerate(zip(activation.rows, activation.low, activation.high, strict=True)):
        some = rows[index % step :: step] if len(rows) > step else rows[:1]
        taken.append(np.concatenate([some, low[None], high[None]]))
    return np.concatenate(taken), [len(rows) for rows in taken]
