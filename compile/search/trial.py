"""What a scheme does to a block of a component: how far the outputs move, and how much faster it runs."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ...quantize.assign import Rule
from ...quantize.scheme import NONE
from ...runtime.manifest import Component
from ...runtime.session import EngineOptions, Session, open_session
from ...targets.card import with_card
from ..build import build_model
from ..cases import Case, read_cases
from ..memory import release_memory
from ..plan import Plan
from ..quantized import MIXED, QuantizedGraphs, Recipe, quantized_model
from ..verify import relative_error

CASES = 4  # recorded calls, of early and late timesteps
PAIRS = 61  # of timed calls, of both components in turns
SECONDS = 8.0  # after which no further pair is begun, where there are at least three
# Some engines compute the rest of an int8 component in another precision than that of one without; in float32 all that
# differs is the block.
PRECISION = "fp16-weights"


@dataclass(frozen=True)
class Measured:
    """What a scheme does to a block.

    relative_error: of the component's outputs with this block alone quantized, root mean square over the calls.
    time_change: what the block adds to the time of a call, negative where it saves, in units of the float component's;
    None where time was not asked.  Measured by leaving the block out of a component that has the scheme throughout: a
    block of integers among floats is slower, and among integers faster.  spread: between the quartiles.
    """

    relative_error: float
    time_change: float | None = None
    spread: float | None = None


class Bench:
    """Measures blocks of one component with one scheme, on the machine that the plan verifies on.

    timed: measure times too.
    """

    def __init__(self, plan: Plan, component: Component, graphs: QuantizedGraphs, scheme: str, timed: bool) -> None:
        self._plan = plan
        self._component = replace(component, precision=PRECISION)
        self._graphs = graphs
        self._scheme = scheme
        assert graphs.recording is not None
        calls = list(read_cases(graphs.recording.cases, component.name))
        places = np.linspace(0, len(calls) - 1, min(CASES, len(calls))).round().astype(int)
        self._cases: list[Case] = [calls[place] for place in places]
        self._work = tempfile.TemporaryDirectory(prefix="aquatint-search-")
        self._whole: Session | None = None
        self._whole_ratio = 1.0
        if timed:
            self._whole = self._open(Recipe(Rule(scheme)))
            plain = self._open(Recipe(Rule(NONE)))
            self._whole_ratio, _ = paired_ratios(plain, self._whole, self._cases[-1])
            plain.close()

    def measure(self, pattern: str) -> Measured:
        """The layers that the pattern matches.  Raises SessionFailed where the engine refuses."""
        alone = self._open(Recipe(Rule(NONE), (Rule(self._scheme, layers=pattern),)))
        errors = [self._error(alone, case) for case in self._cases]
        alone.close()
        error = float(np.sqrt(np.mean(np.square(errors))))
        if self._whole is None:
            return Measured(error)
        without = self._open(Recipe(Rule(self._scheme), (Rule(NONE, layers=pattern),)))
        ratio, spread = paired_ratios(self._whole, without, self._cases[-1])
        without.close()
        release_memory()
        return Measured(error, self._whole_ratio * (1 - ratio), self._whole_ratio * spread)

    def close(self) -> None:
        """Give memory and disk back."""
        if self._whole is not None:
            self._whole.close()
        self._work.cleanup()

    def _open(self, recipe: Recipe) -> Session:
        plan, name = self._plan, self._component.name
        model, _ = quantized_model(self._graphs, name, recipe)
        with tempfile.TemporaryDirectory(dir=self._work.name) as place:
            folder = Path(place) / "artifact"
            folder.mkdir()
            part = replace(self._component, scheme=MIXED if recipe.asks else NONE)
            order = replace(plan.order, target=plan.verify_on, on_device=False)
            artifact = build_model(model, part, order, folder)
            del model
            session = open_session(artifact, with_card(part, folder), plan.verify_on, plan.shapes, EngineOptions())
            session.run(self._cases[0].feeds)  # it is compiled here; after it, no engine reads the file again
        return session

    def _error(self, session: Session, case: Case) -> float:
        outputs = session.run(case.feeds)
        return max(relative_error(outputs[name], expected) for name, expected in case.outputs.items())


def paired_ratios(reference: Session, session: Session, case: Case) -> tuple[float, float]:
    """Time of a call over the reference's: the median of pairs, and the distance of the quartiles."""
    ratios: list[float] = []
    begun = time.perf_counter()
    while len(ratios) < PAIRS and (len(ratios) < 3 or time.perf_counter() - begun < SECONDS):
        ratios.append(_seconds(session, case) / _seconds(reference, case))
    return statistics.median(ratios), _quartiles(ratios)


def _seconds(session: Session, case: Case) -> float:
    start = time.perf_counter()
    session.run(case.feeds)
    return time.perf_counter() - start


def _quartiles(values: Sequence[float]) -> float:
    low, _, high = statistics.quantiles(values, n=4)
    return high - low
