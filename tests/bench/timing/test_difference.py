"""Verdicts: what they say of known differences, how often they are wrong, and what they refuse to say."""

import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from aquatint.bench.timing.difference import LEVEL, judge, samples_needed


def noisy(rng, count, noise=0.1, factor=1.0):
    """Lognormal, of median `factor`."""
    return factor * np.exp(noise * rng.standard_normal(count))


def disturbed(rng, times, share=0.1):
    """A neighbour process: a share of the samples takes several times as long."""
    return np.where(rng.random(times.size) < share, times * (2 + rng.exponential(3, times.size)), times)


def share_slower(make, times, over=0.05):
    """How many of `times` comparisons of make() = (old, new) find a stage that is slower."""
    return sum(bool(judge(*make(), over).slower) for _ in range(times)) / times


def one(old, new, over=0.05):
    (verdict,) = judge({"unet": old}, {"unet": new}, over).verdicts
    return verdict


def test_a_verdict_has_scipys_chance_of_the_scaled_old_run():
    rng = np.random.default_rng(0)
    old, new = noisy(rng, 15), noisy(rng, 18, factor=1.15)
    found = one(old, new)
    expected = mannwhitneyu(new, 1.05 * old, alternative="greater", method="exact").pvalue
    assert found.p_slower == pytest.approx(expected, rel=1e-9)
    assert found.p_changed == pytest.approx(mannwhitneyu(new, old, method="exact").pvalue, rel=1e-9)
    assert (found.old_count, found.new_count, found.over, found.too_few) == (15, 18, 0.05, None)
    assert found.change == pytest.approx(np.median(new) / np.median(old) - 1, rel=1e-12)
    assert (found.old_s, found.new_s) == (np.median(old), np.median(new))


def test_low_and_high_are_changes_with_the_change_between_them():
    """Old times alike, so each of 5 ratios comes 5 times; the bounds are the second least and greatest of 25."""
    found = one([2.0] * 5, [2.2, 2.4, 2.6, 2.8, 3.0])
    assert (found.low, found.change, found.high) == pytest.approx((0.1, 0.3, 0.5), rel=1e-9)


def test_the_interval_covers_the_true_change():
    """98 % between both bounds; 500 draws lie within 2.5 points of that, four deviations."""
    rng = np.random.default_rng(1)
    found = [one(noisy(rng, 12), noisy(rng, 12, factor=1.2)) for _ in range(500)]
    assert np.mean([verdict.low <= 0.2 <= verdict.high for verdict in found]) == pytest.approx(0.98, abs=0.025)


def test_one_stage_is_slower_just_where_the_low_bound_lies_over_what_is_allowed():
    rng = np.random.default_rng(2)
    found = [one(noisy(rng, 12), noisy(rng, 12, factor=1.18)) for _ in range(200)]
    assert 20 < sum(verdict.slower for verdict in found) < 180
    assert all(verdict.slower == (verdict.low > 0.05) for verdict in found)


@pytest.mark.parametrize("count", [10, 20, 60])
def test_exactly_what_is_allowed_is_a_false_alarm_in_one_of_a_hundred(count):
    """400 draws at 1 %: 11 or fewer with a chance of 99.9 %."""
    rng = np.random.default_rng(count)
    wrong = share_slower(lambda: ({"unet": noisy(rng, count)}, {"unet": noisy(rng, count, factor=1.05)}), 400)
    assert wrong <= 11 / 400


def test_five_stages_together_raise_no_more_false_alarms_than_one():
    """Without the correction it would be 1 - 0.99**5 = 4.9 %, 20 of 400; 11 as above."""
    rng = np.random.default_rng(4)

    def make():
        stages = "abcde"
        return {s: noisy(rng, 20) for s in stages}, {s: noisy(rng, 20, factor=1.05) for s in stages}

    assert share_slower(make, 400) <= 11 / 400


def test_a_fifth_slower_is_found_nearly_always():
    rng = np.random.default_rng(5)
    assert share_slower(lambda: ({"unet": noisy(rng, 30)}, {"unet": noisy(rng, 30, factor=1.2)}), 300) > 0.98


def test_a_neighbour_process_raises_no_alarm():
    """A tenth of the new samples takes several times as long, the code is the same; the mean rises by half."""
    rng = np.random.default_rng(6)

    def make():
        return {"unet": noisy(rng, 30)}, {"unet": disturbed(rng, noisy(rng, 30))}

    assert share_slower(make, 300) <= 0.01


def test_a_neighbour_process_hides_no_slower_code():
    """Both runs are disturbed, and the code is a fifth slower."""
    rng = np.random.default_rng(7)

    def make():
        return {"unet": disturbed(rng, noisy(rng, 40))}, {"unet": disturbed(rng, noisy(rng, 40, factor=1.2))}

    assert share_slower(make, 300) > 0.95


def test_a_stage_is_not_slower_while_its_median_is_within_what_is_allowed():
    """Just under half of the old times halve, of the new ones double: three of four pairs of them are slower."""
    rng = np.random.default_rng(8)
    old = np.concatenate([noisy(rng, 102, 0.001), noisy(rng, 98, 0.001, 0.5)])
    new = np.concatenate([noisy(rng, 102, 0.001, 1.04), noisy(rng, 98, 0.001, 2.0)])
    found = one(old, new)
    assert found.p_slower < LEVEL
    assert found.change == pytest.approx(0.04, abs=0.01)
    assert not found.slower


def test_faster_code_is_not_slower():
    rng = np.random.default_rng(9)
    found = one(noisy(rng, 30), noisy(rng, 30, factor=0.5))
    assert found.p_slower > 0.99
    assert found.p_changed < 1e-6
    assert found.high < -0.4


def test_equal_runs_are_equal():
    found = one([0.1] * 10, [0.1] * 10, over=0.0)
    assert (found.change, found.low, found.high, found.p_changed, found.slower) == (0, 0, 0, 1, False)


def test_just_what_is_allowed_ties_whatever_the_rounding():
    """In float64 1.9 * 1.05 is less than 1.995, and 0.1 * 1.05 more than 0.105."""
    assert 1.9 * 1.05 < 1.995
    assert one([1.9] * 10, [1.995] * 10).p_slower == 1
    assert one([0.1] * 10, [0.105] * 10).p_slower == 1


@pytest.mark.parametrize("count, stages, needed", [(3, 1, 5), (4, 1, 5), (5, 3, 6)])
def test_too_few_samples_are_said_and_not_passed_as_equal(count, stages, needed):
    """C(8, 4) = 70, C(10, 5) = 252 and C(12, 6) = 924 ways to part them, of which one is the clearest."""
    old = {f"stage {k}": [1.0 + i / 100 for i in range(count)] for k in range(stages)}
    new = {stage: [9.0 * sample for sample in samples] for stage, samples in old.items()}
    found = judge(old, new, 0.05)
    assert found.slower == ()
    assert set(found.undecided) == set(old)
    for verdict in found.verdicts:
        assert verdict.too_few == f"too few samples: {count} and {count}; want {needed} of each run or more"


@pytest.mark.parametrize("stages, needed", [(1, 5), (2, 5), (3, 6), (9, 6), (10, 7)])
def test_as_many_samples_as_needed_are_enough_for_a_verdict(stages, needed):
    assert samples_needed(stages) == needed
    old = {str(k): [1.0 + i / 100 for i in range(needed)] for k in range(stages)}
    found = judge(old, {stage: [2 * s for s in samples] for stage, samples in old.items()}, 0.05)
    assert set(found.slower) == set(old)
    assert found.undecided == ()


def test_a_stage_with_too_few_samples_costs_the_others_nothing():
    rng = np.random.default_rng(10)
    old, new = noisy(rng, 10), noisy(rng, 10, factor=1.2)
    found = judge({"unet": old, "load": [1.0]}, {"unet": new, "load": [1.0]}, 0.05)
    chances = {verdict.stage: verdict.p_slower for verdict in found.verdicts}
    assert chances["unet"] == one(old, new).p_slower
    assert found.undecided == ("load",)


def test_chances_are_raised_as_holm_says():
    """Three stages: the smallest p times three, the next times two, the last as it is, never falling."""
    rng = np.random.default_rng(11)
    factors = {"c": 1.12, "a": 1.3, "b": 1.17}
    old = {stage: noisy(rng, 12) for stage in factors}
    new = {stage: noisy(rng, 12, factor=factor) for stage, factor in factors.items()}
    plain = {stage: one(old[stage], new[stage]).p_slower for stage in factors}
    small, middle, large = sorted(factors, key=plain.get)
    expected = {small: 3 * plain[small]}
    expected[middle] = max(expected[small], 2 * plain[middle])
    expected[large] = max(expected[middle], plain[large])
    found = {verdict.stage: verdict.p_slower for verdict in judge(old, new, 0.05).verdicts}
    assert found == pytest.approx(expected, rel=1e-12)


def test_stages_alike_have_chances_alike():
    """Holm's factor falls from one to the next, the raised chance does not."""
    rng = np.random.default_rng(13)
    old, new = noisy(rng, 12), noisy(rng, 12, factor=1.15)
    found = judge({"a": old, "b": old}, {"a": new, "b": new}, 0.05).verdicts
    assert [verdict.p_slower for verdict in found] == [2 * one(old, new).p_slower] * 2


def test_the_worst_stage_comes_first():
    """A stage that is surely slower comes before one whose median merely happened to rise more."""
    rng = np.random.default_rng(12)
    old = {stage: noisy(rng, 20, 0.01) for stage in ("same", "sure", "surest", "faster")} | {"few": [1.0, 1.1]}
    factors = {"same": 1.0, "sure": 1.2, "surest": 1.4, "faster": 0.8}
    new = {stage: noisy(rng, 20, 0.01, factor) for stage, factor in factors.items()} | {"few": [5.0, 6.0]}
    found = judge(old, new, 0.05)
    assert [verdict.stage for verdict in found.verdicts] == ["surest", "sure", "few", "same", "faster"]
    assert found.slower == ("surest", "sure")


def test_stages_of_only_one_run_are_named():
    found = judge({"unet": [1.0], "old": [1.0]}, {"new": [1.0], "unet": [1.0]}, 0.05)
    assert (found.only_old, found.only_new) == (("old",), ("new",))
    assert [verdict.stage for verdict in found.verdicts] == ["unet"]


@pytest.mark.parametrize("over", [-0.01, math.nan, math.inf])
def test_an_impossible_allowance_is_refused(over):
    with pytest.raises(ValueError, match="want a share of at least 0"):
        judge({}, {}, over)


def test_a_stage_with_wrong_samples_is_named():
    with pytest.raises(ValueError, match="stage unet: no samples"):
        judge({"unet": []}, {"unet": [1.0]}, 0.05)
