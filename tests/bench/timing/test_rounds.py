"""Bundles in turns, until their medians are known or somebody has had enough."""

import pytest

from aquatint.bench.comparison_trial import Job
from aquatint.bench.timing import rounds
from aquatint.bench.timing.picture import Sample
from aquatint.bench.timing.rounds import Patience, measure
from aquatint.bench.timing.worker import Order
from aquatint.terminal import drive


@pytest.fixture
def turns(monkeypatch):
    """What the bundles did, in order: their names; `times` gives each one's next time, `stop_at` a Ctrl-C."""

    class Turns(list):
        stop_at = None

        def times(self, name):
            return 1.0

    made = Turns()

    class Subject:
        def __init__(self, order):
            self.name, self.pid, self.samples = order.job.bundle, 1, []

        def __enter__(self):
            return self

        def __exit__(self, *_):
            made.append(f"end {self.name}")

        def open(self):
            made.append(f"open {self.name}")

        def take(self):
            if len(made) == made.stop_at:
                raise KeyboardInterrupt
            made.append(self.name)
            self.samples.append(Sample(made.times(self.name), {}, (), ()))

        def finish(self):
            return len(self.samples)

    monkeypatch.setattr(rounds, "Subject", Subject)
    return made


def run(patience=None):
    orders = [Order(Job(name, ("a boat",), 0, 3, 7.5, None)) for name in "AB"]
    return drive(measure(orders, patience or Patience(least=3, most=4)), lambda doing: None)


def test_who_went_last_goes_first_in_the_next_round(turns):
    run(Patience(least=3, most=3))
    assert turns == ["open A", "open B", *"ABBAAB", "end B", "end A"]


def test_it_ends_when_every_median_is_known(turns):
    assert run(Patience(least=6, most=50)).subjects == (6, 6)


def test_one_that_varies_keeps_all_going(turns):
    turns.times = lambda name: 1.0 + (name == "B") * (len(turns) % 3)
    assert run(Patience(least=6, most=20)).subjects == (20, 20)


def test_ctrl_c_ends_it_with_what_there_is(turns):
    turns.stop_at = 5
    found = run(Patience(least=50, most=50))
    assert found.stopped
    assert found.subjects == (1, 2)
    assert turns[-2:] == ["end B", "end A"]


def test_ctrl_c_before_all_have_a_picture_is_the_end(turns):
    turns.stop_at = 3
    with pytest.raises(KeyboardInterrupt):
        run()
    assert turns[-2:] == ["end B", "end A"]


@pytest.mark.parametrize("wrong", [{"spread": 0}, {"spread": 1}, {"least": 0}, {"least": 5, "most": 4}])
def test_patience_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="need 0 < spread < 1"):
        Patience(**wrong)
