"""Several subjects in turns, so that a noisy machine is as noisy to all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from .call import Call
from .cpu_state import cpu_state
from .measured import Moment, Point, Sample, Series
from .patience import Patience
from .subject import Refused, Subject, WorkerFailed

MOMENT_S = 1.0  # at least, between two looks at the processors


@dataclass(frozen=True)
class Doing:
    """What goes on.  done: rounds, of at most total; 0 for what is not counted."""

    label: str
    done: int = 0
    total: int = 0


@dataclass
class _Turns:
    """One subject's, as they grow."""

    subject: Subject
    samples: list[Sample] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)
    first_s: float | None = None
    skipped: str | None = None

    def attempt(self, call: Call) -> Sample | None:
        """One more call; None where there will be no more."""
        try:
            return self.subject.take(call)
        except (Refused, WorkerFailed) as reason:
            self.skipped = str(reason)
            return None

    def series(self) -> Series:
        return Series(tuple(self.samples), tuple(self.ends_s), self.first_s, self.skipped)


def take_turns(
    subjects: Sequence[Subject], call: Call, patience: Patience, warm_up: bool = True,
    settled: Callable[[Subject], object] | None = None,
) -> Generator[Doing, None, tuple[Point, bool]]:  # fmt: skip
    """The call by each subject: A B, B A, A B.  Returns the point, and whether Ctrl-C ended it.

    A subject that fails or refuses is left out from then on; its series says why.  warm_up: a call each before, that
    does not count.  settled: told of each subject after that.
    Ctrl-C ends it with what there is, once there is anything.
    """
    turns = [_Turns(subject, skipped=subject.failed) for subject in subjects]
    moments: list[Moment] = []
    stopped = False
    start = time.perf_counter()
    try:
        for turn in turns if warm_up else []:
            if turn.skipped is None:
                yield Doing(f"{turn.subject.order.name}: {call}, warming up")
                sample = turn.attempt(call)
                turn.first_s = sample.total if sample else None
        for turn in turns:
            if settled is not None and turn.skipped is None:
                settled(turn.subject)
        start = time.perf_counter()
        done = 0
        while living := [turn for turn in turns if turn.skipped is None]:
            if not moments or time.perf_counter() - start - moments[-1].at_s >= MOMENT_S:
                moments.append(Moment(time.perf_counter() - start, cpu_state()))
            for turn in living if done % 2 == 0 else living[::-1]:
                sample = turn.attempt(call)
                if sample is not None:
                    turn.samples.append(sample)
                    turn.ends_s.append(time.perf_counter() - start)
            done += 1
            totals = [[sample.total for sample in turn.samples] for turn in living if turn.skipped is None]
            seconds = time.perf_counter() - start
            if patience.is_over(totals, seconds):
                break
            yield _doing(call, patience, done, seconds)
    except KeyboardInterrupt:
        if not any(turn.samples for turn in turns):
            raise
        stopped = True
    moments.append(Moment(time.perf_counter() - start, cpu_state()))
    return Point(call, tuple(turn.series() for turn in turns), tuple(moments)), stopped


def _doing(call: Call, patience: Patience, done: int, seconds: float) -> Doing:
    if patience.minutes is not None:
        return Doing(f"{call}, {seconds / 60:.1f} of {patience.minutes:g} minutes")
    return Doing(f"{call}, in turns", done, patience.most)
