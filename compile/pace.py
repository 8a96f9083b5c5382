"""Whether a quantized component is faster than the same one in floats, where it will run."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..quantize.assign import Rule
from ..quantize.scheme import NONE
from ..runtime.manifest import Component
from ..runtime.session import EngineOptions, Session, open_session
from ..targets.card import with_card
from .build import cached_artifact
from .cases import read_cases
from .memory import release_memory
from .plan import Plan
from .quantized import QuantizedGraphs, Recipe
from .verify import first_rows

log = logging.getLogger(__name__)

MOST_CALLS = 15
LEAST_CALLS = 2
SECONDS = 3.0  # after which no further call is begun
TIME_RATIO = "time_ratio"  # among a component's measured qualities


def compare_pace(session: Session, component: Component, plan: Plan, graphs: QuantizedGraphs) -> Component:
    """The component with the time of a call, over that of the same component without quantization, in its quality.

    session: of the quantized artifact; it is closed, so that one of the two is in memory.
    What is slower is said.  A component that is not quantized, and one whose target is not here, come back as they are.
    """
    if component.scheme == NONE or plan.verify_on != plan.target:
        return component
    case = next(read_cases(graphs.source.cases(component.name), component.name))
    feeds = first_rows(component, case)
    quantized = call_seconds(session, feeds)
    session.close()
    release_memory()
    plain = replace(component, scheme=NONE, quality={})
    floats = replace(graphs, recipes={component.name: Recipe(Rule(NONE))})
    place = cached_artifact(floats, plain, plan.order, graphs.cache)
    artifact = place / Path(component.artifact).name
    reference = open_session(artifact, with_card(plain, place), plan.verify_on, plan.shapes, EngineOptions())
    ratio = quantized / call_seconds(reference, feeds)
    reference.close()
    release_memory()
    slower = "; it saves memory and disk, not time" if ratio > 1 else ""
    log.info("%s: %s takes %.2f of the time of %s%s", component.name, component.scheme, ratio, plain.precision, slower)
    return replace(component, quality={**component.quality, TIME_RATIO: round(ratio, 3)})


def call_seconds(session: Session, feeds: Mapping[str, np.ndarray]) -> float:
    """The median time of a call, after a first one that is not counted."""
    session.run(feeds)
    times: list[float] = []
    while len(times) < LEAST_CALLS or (len(times) < MOST_CALLS and sum(times) < SECONDS):
        start = time.perf_counter()
        session.run(feeds)
        times.append(time.perf_counter() - start)
    return statistics.median(times)
