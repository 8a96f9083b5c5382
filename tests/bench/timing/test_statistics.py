"""Quantiles, the interval of the median, when to stop, and ratios of neighbours."""

import math
import statistics

import numpy as np
import pytest
from scipy.stats import binom

from aquatint.bench.timing.statistics import median_interval, paired_ratios, settled, summarize


def test_a_summary_has_linear_quantiles():
    """1 to 101 ms: the k-th percentile is k + 1 ms in closed form, and the quartiles are 50 ms apart."""
    found = summarize([k / 1000 for k in range(101, 0, -1)])
    assert found.count == 101
    assert (found.p50, found.p90, found.p99) == pytest.approx((0.051, 0.091, 0.100), rel=1e-12)
    assert (found.mean, found.min, found.max) == pytest.approx((0.051, 0.001, 0.101), rel=1e-12)
    assert found.spread == pytest.approx(50 / 51, rel=1e-12)


def test_quantiles_between_two_samples_agree_with_the_standard_library():
    samples = [0.3, 0.1, 0.9, 0.4, 0.6, 0.65, 0.2, 0.5, 0.81, 0.7, 0.77]
    low, _, high = statistics.quantiles(samples, n=4, method="inclusive")
    found = summarize(samples)
    assert found.p90 == pytest.approx(statistics.quantiles(samples, n=10, method="inclusive")[8], rel=1e-12)
    assert found.spread == pytest.approx((high - low) / statistics.median(samples), rel=1e-12)


@pytest.mark.parametrize("field, enough", [("p90", 10), ("p99", 100), ("spread", 4)])
def test_a_quantile_is_left_out_where_no_sample_is_expected_beyond_it(field, enough):
    assert getattr(summarize([0.5] * (enough - 1)), field) is None
    assert getattr(summarize([0.5] * enough), field) is not None


def test_one_sample_is_a_summary_too():
    found = summarize([0.25])
    assert (found.count, found.p50, found.mean, found.min, found.max) == (1, 0.25, 0.25, 0.25, 0.25)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.nan, math.inf])
def test_a_sample_that_is_no_time_is_named(wrong):
    with pytest.raises(ValueError, match=f"sample of {wrong} s"):
        summarize([1.0, wrong])


def test_no_samples_have_no_summary():
    with pytest.raises(ValueError, match="no samples"):
        summarize([])


@pytest.mark.parametrize("count", [6, 7, 9, 20, 21, 100, 999, 3000])
def test_the_median_interval_is_the_narrowest_that_the_binomial_allows(count):
    """Values 1 to n in disorder: the ends are their own ranks, and SciPy says how likely the median is outside."""
    low, high = median_interval(np.random.default_rng(0).permutation(count) + 1.0)
    assert low + high == count + 1
    outside = int(low) - 1  # values left out at each end
    assert 2 * binom.cdf(outside, count, 0.5) <= 0.05 < 2 * binom.cdf(outside + 1, count, 0.5)


def test_five_values_have_no_median_interval():
    """Even from the least to the greatest it would be 1 - 2 / 2**5 = 93.75 %."""
    assert median_interval(np.arange(1.0, 6.0)) is None


def test_the_median_interval_covers_the_median_of_skewed_noise():
    """Of 20 samples by the binomial in 95.86 %; 1000 draws lie within 2.5 points of that, four deviations."""
    rng = np.random.default_rng(3)
    intervals = [median_interval(np.exp(rng.standard_normal(20))) for _ in range(1000)]
    assert np.mean([low <= 1 <= high for low, high in intervals]) == pytest.approx(0.9586, abs=0.025)


def test_repeating_stops_when_the_interval_is_narrow_enough():
    """Of 10 values the interval leaves out one at each end: 2 to 9 of these, half of it 0.35 s."""
    samples = [10 + k / 10 for k in range(10)]  # median 10.45
    assert settled(samples, 0.0336, least=6, most=100)
    assert not settled(samples, 0.0334, least=6, most=100)


def test_repeating_goes_on_up_to_the_least_and_ends_at_the_most():
    alike, apart = [1.0] * 9, [1.0, 9.0] * 5
    assert not settled(alike, 0.01, least=10, most=20)
    assert settled(alike, 0.01, least=9, most=20)
    assert not settled(apart, 0.01, least=5, most=11)
    assert settled(apart, 0.01, least=5, most=10)


def test_five_equal_samples_do_not_settle_a_median():
    assert not settled([1.0] * 5, 0.5, least=1, most=100)
    assert settled([1.0] * 6, 0.5, least=1, most=100)


def test_one_neighbour_process_does_not_keep_it_repeating():
    assert settled([1.0] * 11 + [30.0], 0.01, least=6, most=100)


@pytest.mark.parametrize("relative, least, most", [(0.0, 5, 10), (math.nan, 5, 10), (0.1, 0, 10), (0.1, 11, 10)])
def test_impossible_limits_are_refused(relative, least, most):
    with pytest.raises(ValueError, match="want relative > 0"):
        settled([1.0], relative, least, most)


def test_ratios_are_second_over_first_and_free_of_drift():
    """The machine becomes ten times slower, for both; only the ratio 1.5 of each pair is left."""
    drift = np.geomspace(1, 10, 12)
    found = paired_ratios(drift, 1.5 * drift)
    assert found.count == 12
    assert (found.median, found.low, found.high, found.min, found.max) == pytest.approx([1.5] * 5, rel=1e-12)


def test_a_ratio_has_the_interval_of_its_median():
    found = paired_ratios([1.0] * 10, [k / 10 for k in range(1, 11)])
    assert (found.median, found.low, found.high) == pytest.approx((0.55, 0.2, 0.9), rel=1e-12)
    assert (found.min, found.max) == (0.1, 1.0)


def test_few_pairs_have_a_median_without_an_interval():
    found = paired_ratios([1.0, 1.0, 2.0], [2.0, 3.0, 2.0])
    assert (found.count, found.median, found.low, found.high) == (3, 2.0, None, None)


def test_lists_of_different_lengths_are_no_pairs():
    with pytest.raises(ValueError, match="2 and 1 samples are no pairs"):
        paired_ratios([1.0, 1.0], [1.0])
