"""What each operator of a bundle's networks takes, while it prints a picture."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...runtime.bundle import Bundle, open_bundle, pipeline_of
from ...runtime.errors import BadRequest
from ...runtime.pipeline import Pipeline, finish
from ...runtime.session import EngineOptions, NodeTime, Profiled, Session
from ..comparison_trial import Job, begin
from .graph import read_graph
from .kinds import IN_ATTENTION, kind_of, precision_of
from .placement import Place, place


@dataclass(frozen=True)
class Operator:
    """One node that an engine ran.

    name: the engine's.  kind, precision: our words where we have one (kinds.py), else the engine's.
    block: from the outside in, such as ("down_blocks.0", "attentions.0"); () for the network itself.
    calls, seconds: of the whole picture.
    """

    component: str
    name: str
    kind: str
    precision: str | None
    block: tuple[str, ...]
    calls: int
    seconds: float


@dataclass(frozen=True)
class Profile:
    """Of one picture.

    operators: of each component in the order in which they run.  measured: seconds of each component's calls, as they
    were waited for.  Nodes' times exclude what the engine does between them, and count those that run side by side
    twice.  Both are longer than without profiling, most of all where nodes are small and many: shares are what to read.
    """

    operators: tuple[Operator, ...]
    measured: dict[str, float]

    @property
    def seconds(self) -> float:
        """Of all operators."""
        return sum(operator.seconds for operator in self.operators)


def profile_picture(job: Job, device: str | None = None, threads: int | None = None) -> Profile:
    """Print the job's first prompt twice, and tell where the time of the second went.  device: as in open_bundle.

    Raises BadRequest where the engine tells no times.
    """
    bundle = open_bundle(job.bundle, device=device, options=EngineOptions(threads=threads, profile=True))
    try:
        return profile_bundle(bundle, lambda pipe: finish(begin(pipe, bundle, job.prompts[0], job)))
    finally:
        bundle.close()


def profile_bundle(bundle: Bundle, draw: Callable[[Pipeline], object]) -> Profile:
    """Draw twice, and tell where the time of the second went.

    bundle: opened with EngineOptions(profile=True).  draw: prints the picture, the same one each time.
    Raises BadRequest where the bundle was opened otherwise, or its engine tells no times.
    """
    if not bundle.options.profile or bundle.options.residency != "all":
        raise BadRequest(
            'to profile a bundle, open it with EngineOptions(profile=True, residency="all"); '
            f"this one has profile={bundle.options.profile}, residency={bundle.options.residency!r}"
        )
    pipe = pipeline_of(bundle)
    pipe.prepare()
    sessions = {part.name: _Timed(bundle.session(part.name)) for part in bundle.manifest.components}
    for name, session in sessions.items():
        bundle.replace_session(name, session)
    draw(pipe)
    for session in sessions.values():
        session.forget()
    draw(pipe)
    operators: list[Operator] = []
    for part in bundle.manifest.components:
        if sessions[part.name].calls:
            times = sessions[part.name].told()
            graph = read_graph(bundle.folder / part.artifact)
            operators += _operators(part.name, times, place(times, graph))
    measured = {name: session.seconds for name, session in sessions.items() if session.calls}
    return Profile(tuple(operators), measured)


def _operators(component: str, times: Sequence[NodeTime], places: Sequence[Place]) -> list[Operator]:
    """Those that ran, each once: the same name comes again where a component was compiled for more than one size."""
    found: dict[tuple[str, Place], Operator] = {}
    for node, where in zip(times, places, strict=True):
        if not node.calls:
            continue
        before = found.get((node.name, where))
        calls, seconds = (before.calls, before.seconds) if before else (0, 0.0)
        kind = kind_of(node.kind)
        found[node.name, where] = Operator(
            component, node.name, "attention" if where.attention and kind in IN_ATTENTION else kind,
            precision_of(node.precision), where.block, calls + node.calls, seconds + node.seconds,
        )  # fmt: skip
    return list(found.values())


class _Timed:
    """A session whose calls are counted.  seconds: of all of them."""

    def __init__(self, inner: Session) -> None:
        self._inner = inner
        self.calls = 0
        self.seconds = 0.0

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._inner.prepare(shapes)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self._inner.prepare({name: array.shape for name, array in feeds.items()})  # compiling is no operator's time
        start = time.perf_counter()
        outputs = self._inner.run(feeds)
        self.seconds += time.perf_counter() - start
        self.calls += 1
        return outputs

    def close(self) -> None:
        self._inner.close()

    def forget(self) -> None:
        """Count from now on."""
        self._profiled().forget_times()
        self.calls, self.seconds = 0, 0.0

    def told(self) -> list[NodeTime]:
        """What the engine says of these calls."""
        return self._profiled().node_times()

    def _profiled(self) -> Profiled:
        if not isinstance(self._inner, Profiled):
            raise BadRequest(f"a {type(self._inner).__name__} tells no times of its operators")
        return self._inner
