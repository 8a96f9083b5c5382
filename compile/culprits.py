"""A compile that lost too much says which quantized layers did it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..quantize.blame import blame
from ..quantize.scheme import NONE
from ..runtime.errors import Error, QualityMissed
from ..runtime.manifest import Component
from .cases import read_cases
from .source import Source

log = logging.getLogger(__name__)

NAMED = 5  # layers that a message names


class Culprits:
    """Names layers where quality is missed.  quantized: a component's quantized graph, before any target's lowering."""

    def __init__(self, source: Source, quantized: Callable[[Component], Path]) -> None:
        self._source = source
        self._quantized = quantized

    @contextmanager
    def named(self, components: Sequence[Component]) -> Iterator[None]:
        """A QualityMissed from inside goes on with the layers of the quantized component that lost most."""
        try:
            yield
        except QualityMissed as missed:
            guilty = [part for part in components if part.scheme != NONE]
            if not guilty:
                raise
            worst = max(guilty, key=lambda part: part.quality.get("relative_error", 0.0))
            raise QualityMissed(f"{missed}; {self._words(worst)}") from missed

    def _words(self, component: Component) -> str:
        case = next(read_cases(self._source.cases(component.name), component.name), None)
        if case is None:
            return f"which layers of {component.name} did it can't be told without a recorded call"
        start = time.perf_counter()
        try:
            losses = blame(self._source.graph(component.name), self._quantized(component), case.feeds)
        except Error as reason:  # the first failure is what counts
            return f"which layers of {component.name} did it can't be told: {reason}"
        log.info("%s: %d layers compared, %.1f s", component.name, len(losses), time.perf_counter() - start)
        layers = ", ".join(f"{loss.layer} {loss.relative_error:.2g}" for loss in losses[:NAMED])
        return (
            f"most is lost in {component.name}: {layers} (each layer's own relative error); "
            'give them "none" or a scheme of more bits by a rule in the profile'
        )
