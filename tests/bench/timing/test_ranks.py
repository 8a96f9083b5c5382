"""The rank-sum test against SciPy's."""

import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, permutation_test, rankdata

from aquatint.bench.timing.ranks import least_p, p_differs, p_larger, shift_bounds


def lists(first, second, seed, shift=0.3):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(first), rng.standard_normal(second) + shift


@pytest.mark.parametrize("counts", [(1, 1), (3, 3), (6, 9), (9, 6), (20, 20), (40, 40), (5, 75)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_without_ties_it_is_the_exact_test(counts, seed):
    first, second = lists(*counts, seed)
    expected = mannwhitneyu(second, first, alternative="greater", method="exact").pvalue
    assert p_larger(first, second) == pytest.approx(expected, rel=1e-9)  # SciPy sums its tail from the other end
    both = mannwhitneyu(second, first, alternative="two-sided", method="exact").pvalue
    assert p_differs(first, second) == pytest.approx(both, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_with_ties_it_is_exact_too(seed):
    """SciPy's goes through all 462 ways to part 11 values into 5 and 6."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 4, 5).astype(float), rng.integers(1, 5, 6).astype(float)
    ranks = rankdata(np.concatenate([second, first]))
    expected = permutation_test(
        (ranks[:6], ranks[6:]),
        lambda mine, _, axis: mine.sum(axis=axis),
        vectorized=True,
        alternative="greater",
        n_resamples=np.inf,
    ).pvalue
    assert p_larger(first, second) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("decimals", [1, 12])
def test_many_values_have_the_normal_approximation_corrected_for_ties(decimals):
    first, second = (np.round(values, decimals) for values in lists(90, 120, 5))
    expected = mannwhitneyu(second, first, alternative="greater", method="asymptotic").pvalue
    assert p_larger(first, second) == pytest.approx(expected, rel=1e-9)
    both = mannwhitneyu(second, first, alternative="two-sided", method="asymptotic").pvalue
    assert p_differs(first, second) == pytest.approx(both, rel=1e-9)


@pytest.mark.parametrize("shift, exact_p, most", [(6.5, 0.01, 1.04), (8.5, 0.0017, 1.12)])
def test_the_approximation_errs_on_the_safe_side_where_it_begins(shift, exact_p, most):
    first, second = np.arange(41.0), np.arange(41) + shift
    exact = mannwhitneyu(second, first, alternative="greater", method="exact").pvalue
    assert exact == pytest.approx(exact_p, rel=0.2)  # the case is the one that is meant
    assert 1 <= p_larger(first, second) / exact < most


@pytest.mark.parametrize("count", [4, 200])
def test_equal_values_say_nothing(count):
    assert p_larger(np.ones(count), np.ones(count)) == 1
    assert p_differs(np.ones(count), np.ones(count)) == 1


@pytest.mark.parametrize("counts", [(3, 3), (4, 7), (10, 10)])
def test_the_least_p_is_reached_by_lists_that_do_not_overlap(counts):
    first, second = np.arange(counts[0]) * 1.0, np.arange(counts[1]) + 100.0
    assert least_p(*counts) == pytest.approx(p_larger(first, second), rel=1e-9)


def test_the_least_p_of_very_many_is_no_error():
    assert least_p(5000, 5000) == 0


@pytest.mark.parametrize("counts", [(6, 6), (8, 20), (30, 30), (70, 60)])
def test_the_bounds_are_where_the_test_begins_to_reject(counts):
    """By SciPy's p, a hair inside and outside of each bound."""
    method = "exact" if sum(counts) <= 80 else "asymptotic"
    first, second = lists(*counts, 7)
    low, high = shift_bounds(first, second, 0.01)

    def rejected(shift, alternative):
        return mannwhitneyu(second, first + shift, alternative=alternative, method=method).pvalue < 0.01

    hair = 1e-9
    assert rejected(low - hair, "greater")
    assert not rejected(low + hair, "greater")
    assert rejected(high + hair, "less")
    assert not rejected(high - hair, "less")


def test_lists_too_short_to_reject_have_no_bounds():
    """4 and 4 reach 1/70; of 5 and 5, 2 of 252 ways are as clear as 24 of 25 pairs, and 4 as 23."""
    assert shift_bounds(*lists(4, 4, 0), 0.01) is None
    first, second = lists(5, 5, 0)
    between = sorted(b - a for a in first for b in second)
    assert shift_bounds(first, second, 0.01) == (between[1], between[-2])


def test_p_is_the_same_however_far_an_outlier_lies():
    first, second = lists(10, 10, 0)
    second[second.argmax()] = 10.0
    near = p_larger(first, second)
    second[second.argmax()] = 1e9
    assert math.isclose(p_larger(first, second), near, rel_tol=1e-12)
