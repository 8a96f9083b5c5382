"""Medians, spreads and ratios of trials."""

import pytest

from aquatint.bench.comparison_figures import Spread, entry_of, likeness
from aquatint.bench.comparison_plan import Ask, make_plan
from aquatint.bench.comparison_trial import Trial


def trials(steps, peaks=(100, 100, 100)):
    return [Trial(1.0, (9.0, step, 0.001), peak, None, None) for step, peak in zip(steps, peaks)]


@pytest.fixture(scope="module")
def plan(compared):
    return make_plan(compared, Ask())


def test_a_ratio_is_taken_within_each_round(plan):
    """The machine is twice as slow in the second round; both are, so the ratio stays."""
    found = [trials([1.0, 2.0, 1.0]), trials([1.5, 3.0, 1.6], peaks=(50, 60, 50))]
    entry = entry_of(plan, 1, found, None, None)
    assert entry.step_s.value == Spread(1.6, 1.5, 3.0)
    assert entry.step_s.ratio == Spread(1.5, 1.5, 1.6)
    assert entry.peak_bytes.ratio == Spread(0.5, 0.5, 0.6)


def test_what_the_system_does_not_tell_is_left_out(plan):
    entry = entry_of(plan, 1, [trials([1.0]), trials([1.0], peaks=[None])], None, None)
    assert (entry.peak_bytes, entry.anonymous_bytes) == (None, None)


def test_where_the_reference_failed_there_are_values_without_ratios(plan):
    entry = entry_of(plan, 1, [[], trials([1.0, 2.0, 4.0])], None, None)
    assert entry.step_s.value == Spread(2.0, 1.0, 4.0)
    assert entry.step_s.ratio is None


def test_a_bundle_that_failed_in_a_later_round_keeps_the_earlier_ones(plan):
    entry = entry_of(plan, 1, [trials([2.0, 9.0, 9.0]), trials([1.0])], None, "it broke")
    assert (entry.step_s.ratio.median, entry.failed) == (0.5, "it broke")


def test_without_pictures_there_is_no_likeness():
    assert likeness((), ()) is None
