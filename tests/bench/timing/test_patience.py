"""When enough is measured."""

import pytest

from aquatint.bench.timing.patience import Patience

SAME = [[1.0] * 8, [2.0] * 8]


@pytest.mark.parametrize("wrong", [{"spread": 0}, {"spread": 1}, {"least": 0}, {"least": 5, "most": 4}, {"limit_s": 0}])
def test_patience_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match="need 0 < spread < 1"):
        Patience(**wrong)


def test_no_minutes_are_refused():
    with pytest.raises(ValueError, match="minutes is 0; it must be more than 0"):
        Patience(minutes=0)


def test_it_is_over_once_all_is_known():
    assert Patience(least=5).is_over(SAME, 1)
    assert not Patience(least=9).is_over(SAME, 1)


def test_known_times_with_an_unknown_ratio_are_not_enough():
    """Both spread by 1.5 %, one up where the other goes down, so that their ratio spreads by 6 %."""
    up = [1.0, 1.03] * 10
    down = [1.03, 1.0] * 10
    patience = Patience(spread=0.02, least=5, most=50)
    assert patience.is_over([up, up], 1)
    assert not patience.is_over([up, down], 1)


def test_the_limit_ends_it_but_not_before_the_least():
    noisy = [[1.0, 2.0, 4.0, 8.0, 16.0]]
    assert Patience(least=5, limit_s=10).is_over(noisy, 11)
    assert not Patience(least=5, limit_s=10).is_over(noisy, 9)
    assert not Patience(least=6, limit_s=10).is_over(noisy, 11)


def test_minutes_decide_alone():
    assert not Patience(least=1, most=1, minutes=2).is_over(SAME, 119)
    assert Patience(least=50, most=50, minutes=2).is_over(SAME, 120)


def test_with_nobody_left_it_is_over():
    assert Patience().is_over([], 0)
