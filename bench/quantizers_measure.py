"""An IR of a component against the float graph's own outputs, and its time against a float IR's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..compile.cases import Case

# Computed in float32 throughout, so that nothing but the quantizing is seen.
SETTINGS = {
    "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
}  # fmt: skip
FOUR, EIGHT = ("i4", "u4", "nf4"), ("i8", "u8")


@dataclass(frozen=True)
class Measured:
    """error, error_max: the output's, as a share of its norm; the mean and the most of the calls.

    size_bytes: of the IR.  four, eight: share of all weights that are stored in 4 and in 8 bits.
    time: a step's, over a float step's beside it; with its spread, the quarter points.
    """

    error: float
    error_max: float
    size_bytes: int
    four: float
    eight: float
    time: float
    time_low: float
    time_high: float


def measure(artifact: Path, floats: Callable[[], float], cases: Sequence[Case], repeats: int) -> Measured:
    """floats: seconds of a float step, as `stepper` makes it."""
    model = _read(artifact)
    four, eight = _shares(model)
    run = _compiled(model, cases[0])
    errors = [_error(run(case.feeds), case) for case in cases]
    step = stepper(artifact, cases[0])
    pairs = []
    for turn in range(repeats):
        first, second = (step, floats) if turn % 2 else (floats, step)
        taken = first(), second()
        pairs.append(taken[0] / taken[1] if turn % 2 else taken[1] / taken[0])
    low, middle, high = statistics.quantiles(pairs, n=4)
    size_bytes = sum(file.stat().st_size for file in (artifact, artifact.with_suffix(".bin")))
    return Measured(statistics.fmean(errors), max(errors), size_bytes, four, eight, middle, low, high)


def stepper(artifact: Path, case: Case) -> Callable[[], float]:
    """The IR, compiled; each call is one step and gives its seconds."""
    run = _compiled(_read(artifact), case)

    def step() -> float:
        start = time.perf_counter()
        run(case.feeds)
        return time.perf_counter() - start

    for _ in range(2):
        step()
    return step


def _read(artifact: Path) -> Any:
    import openvino

    return openvino.Core().read_model(artifact)


def _compiled(model: Any, case: Case) -> Callable[[dict[str, np.ndarray]], np.ndarray]:
    """Feeds -> the first output."""
    import openvino

    model.reshape({name: list(array.shape) for name, array in case.feeds.items()})
    request = openvino.Core().compile_model(model, "CPU", SETTINGS).create_infer_request()

    def run(feeds: dict[str, np.ndarray]) -> np.ndarray:
        output: np.ndarray = request.infer(feeds)[0].copy()
        return output

    return run


def _error(output: np.ndarray, case: Case) -> float:
    wanted = next(iter(case.outputs.values()))
    return float(np.linalg.norm(output - wanted) / np.linalg.norm(wanted))


def _shares(model: Any) -> tuple[float, float]:
    """Of all numbers in constants: those in 4 bits, and those in 8."""
    counts: dict[str, int] = {}
    for node in model.get_ops():
        if node.get_type_name() == "Constant":
            kind = node.get_element_type().get_type_name()
            counts[kind] = counts.get(kind, 0) + int(np.prod(node.shape))
    total = sum(counts.values())
    four, eight = (sum(counts.get(kind, 0) for kind in kinds) / total for kinds in (FOUR, EIGHT))
    return four, eight
