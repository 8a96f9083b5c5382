"""Subjects in turns, until their times are known or somebody has had enough."""

from types import SimpleNamespace

import pytest

from aquatint.bench.timing.call import Call
from aquatint.bench.timing.measured import Sample
from aquatint.bench.timing.patience import Patience
from aquatint.bench.timing.rounds import take_turns
from aquatint.bench.timing.subject import Refused, WorkerFailed
from aquatint.terminal import drive

CALL = Call("a boat", 0, 3, 7.5, 64, 64)


class Subject:
    """One that takes as long as it is told to, and notes that it was asked."""

    def __init__(self, name, log, times=lambda count: 1.0):
        self.order, self.failed = SimpleNamespace(name=name), None
        self._log, self._times = log, times

    def take(self, call):
        self._log.append(self.order.name)
        return Sample(self._times(len(self._log)), {}, (0.1,), None)


def run(subjects, patience, **words):
    return drive(take_turns(subjects, CALL, patience, **words), lambda doing: None)


def test_who_went_last_goes_first_in_the_next_round():
    log = []
    run([Subject(name, log) for name in "AB"], Patience(least=3, most=3))
    assert "".join(log) == "AB" + "ABBAAB"


def test_the_calls_that_warm_up_do_not_count():
    log = []
    point, _ = run([Subject("A", log, float)], Patience(least=3, most=3))
    assert point.series[0].first_s == 1.0
    assert [sample.total for sample in point.series[0].samples] == [2.0, 3.0, 4.0]
    assert run([Subject("A", [])], Patience(least=3, most=3), warm_up=False)[0].series[0].first_s is None


def test_it_ends_when_every_median_is_known():
    point, stopped = run([Subject(name, []) for name in "AB"], Patience(least=6, most=50))
    assert [len(series.samples) for series in point.series] == [6, 6]
    assert not stopped


def test_one_that_varies_keeps_all_going():
    times = lambda count: 1.0 + count % 3  # noqa: E731
    point, _ = run([Subject("A", []), Subject("B", [], times)], Patience(least=6, most=20))
    assert [len(series.samples) for series in point.series] == [20, 20]


def failing_at(number, error):
    def times(count):
        if count == number:
            raise error
        return 1.0

    return times


@pytest.mark.parametrize("error", [WorkerFailed("B: gone"), Refused("B: too large")])
def test_one_that_fails_is_left_out_and_the_rest_goes_on(error):
    point, stopped = run([Subject("A", []), Subject("B", [], failing_at(3, error))], Patience(least=5, most=5))
    assert [len(series.samples) for series in point.series] == [5, 1]
    assert [series.skipped for series in point.series] == [None, str(error)]
    assert not stopped


def test_one_that_had_failed_before_is_not_asked():
    log = []
    gone = Subject("A", log)
    gone.failed = "A: gone"
    point, _ = run([gone], Patience())
    assert log == []
    assert point.series[0].skipped == "A: gone"


def test_ctrl_c_ends_it_with_what_there_is():
    subjects = [Subject("A", []), Subject("B", [], failing_at(4, KeyboardInterrupt()))]
    point, stopped = run(subjects, Patience(least=50, most=50))
    assert stopped
    assert [len(series.samples) for series in point.series] == [3, 2]


def test_ctrl_c_before_anything_counts_is_the_end():
    with pytest.raises(KeyboardInterrupt):
        run([Subject("A", [], failing_at(1, KeyboardInterrupt()))], Patience())


def test_every_sample_has_its_time_and_the_processors_were_looked_at():
    point, _ = run([Subject("A", [])], Patience(least=4, most=4))
    ends = point.series[0].ends_s
    assert len(ends) == 4
    assert list(ends) == sorted(ends)
    assert point.moments[0].at_s <= ends[0] <= ends[-1] <= point.moments[-1].at_s
