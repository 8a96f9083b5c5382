"""Each component against what the checkpoint gave in real denoising."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from ..profiles.budget import Budget
from ..quantize.scheme import NONE
from ..runtime.errors import QualityMissed
from ..runtime.manifest import Component
from ..runtime.session import Session, check_finite
from .cases import Case

log = logging.getLogger(__name__)


def verify_component(session: Session, component: Component, cases: Iterable[Case], budget: Budget) -> Component:
    """The component with its measured quality: the worst relative_error of an output over all cases.

    Raises QualityMissed over the budget, NonFinite on NaN and infinity.
    """
    worst, count = 0.0, 0
    start = time.perf_counter()
    for case in cases:
        outputs = _run_rows(session, component, case)
        count += 1
        for name, expected in case.outputs.items():
            check_finite(expected, f"{component.name}, output {name} of the checkpoint itself")
            check_finite(outputs[name], f"{component.name}, output {name}")
            worst = max(worst, relative_error(outputs[name], expected))
    seconds = time.perf_counter() - start
    log.info("%s: relative error %.2g over %d calls, %.1f s with loading", component.name, worst, count, seconds)
    if not count:
        raise QualityMissed(f"{component.name}: there is no recorded call to verify it with")
    if worst > budget.relative_error:
        quantized = "" if component.scheme == NONE else f" and {component.scheme}"
        raise QualityMissed(
            f"{component.name}: relative error {worst:.3g} in {component.precision}{quantized}, the budget allows "
            f"{budget.relative_error:.3g}; give it a wider precision in the profile, or a larger budget"
        )
    return replace(component, quality={"relative_error": worst})


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the difference, in units of the reference's own."""
    wide = expected.astype(np.float64)
    return float(np.linalg.norm(found.astype(np.float64) - wide) / max(float(np.linalg.norm(wide)), 1e-30))


def first_rows(component: Component, case: Case) -> dict[str, np.ndarray]:
    """What the first call gets of a case, in a batch that the component knows."""
    return next(feeds for feeds, _ in _in_rows(component, case))


def _run_rows(session: Session, component: Component, case: Case) -> dict[str, np.ndarray]:
    """Run a case in calls of a batch that the component knows."""
    parts: list[dict[str, np.ndarray]] = []
    for feeds, left in _in_rows(component, case):
        parts.append({name: array[:left] for name, array in session.run(feeds).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _in_rows(component: Component, case: Case) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """A case in pieces, each with how many of its rows count; the last piece is filled up with its last row."""
    batched = {spec.name for spec in component.inputs if spec.dims and spec.dims[0] == "batch"}
    rows = max((len(case.feeds[name]) for name in batched), default=1)
    size = rows if rows in component.rows else min(component.rows)
    for start in range(0, rows, size):
        chosen = np.minimum(np.arange(start, start + size), rows - 1)
        yield {name: array[chosen] if name in batched else array for name, array in case.feeds.items()}, rows - start
