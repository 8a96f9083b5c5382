"""Several bundles in turns, so that a noisy machine is as noisy to all of them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from .foreign_load import ForeignLoad, LoadWatch
from .statistics import settled
from .subject import Measured, Subject
from .worker import Order


@dataclass(frozen=True)
class Patience:
    """How long to go on: until the median of each bundle's pictures is known to within `spread`, a share of it.

    least, most: rounds, each of one picture a bundle.
    """

    spread: float = 0.02
    least: int = 5
    most: int = 30

    def __post_init__(self) -> None:
        if not 0 < self.spread < 1 or not 1 <= self.least <= self.most:
            raise ValueError(f"need 0 < spread < 1 and 1 <= least <= most, got {self}")


@dataclass(frozen=True)
class Doing:
    """What goes on.  done: rounds, of at most total; 0 while bundles are loaded."""

    label: str
    done: int
    total: int


@dataclass(frozen=True)
class Run:
    """All that was measured in one run.  stopped: by Ctrl-C, before it was settled."""

    subjects: tuple[Measured, ...]
    load: ForeignLoad
    stopped: bool = False


def measure(orders: Sequence[Order], patience: Patience) -> Generator[Doing, None, Run]:
    """Load every bundle, then print pictures in turns: A B, B A, A B.

    Ctrl-C ends it with what there is, once every bundle has a picture that counts.  Raises WorkerFailed.
    """
    with ExitStack() as stack:
        subjects: list[Subject] = []
        for order in orders:
            # One after the other: loading beside each other would tell nothing of how long each takes.
            yield Doing(f"loading {order.job.bundle}", 0, patience.most)
            subjects.append(stack.enter_context(Subject(order)))
            subjects[-1].open()
        watch = LoadWatch([subject.pid for subject in subjects])
        watch.start()
        stopped = False
        try:
            for done in range(patience.most):
                for subject in subjects if done % 2 == 0 else reversed(subjects):
                    subject.take()
                if all(_known(subject, patience) for subject in subjects):
                    break
                yield Doing("printing in turns", done + 1, patience.most)
        except KeyboardInterrupt:
            if not all(subject.samples for subject in subjects):
                raise
            stopped = True
        load = watch.stop()
        return Run(tuple(subject.finish() for subject in subjects), load, stopped)


def _known(subject: Subject, patience: Patience) -> bool:
    totals = [sample.total for sample in subject.samples]
    return settled(totals, patience.spread, patience.least, patience.most)
