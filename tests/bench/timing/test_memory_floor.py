"""Where the least memory lies, found with things that run from a known limit on."""

import pytest

from aquatint.bench.timing.memory_floor import MemoryFloor, memory_floor

MB = 2**20


@pytest.mark.parametrize("needed", [2, 100 * MB, 100 * MB + 1, 777 * MB, 1024 * MB])
@pytest.mark.parametrize("tolerance", [1, MB, 50 * MB])
def test_the_floor_lies_between_a_limit_that_failed_and_one_that_ran(needed, tolerance):
    asked = []

    def run(limit):
        asked.append(limit)
        return limit >= needed

    found = memory_floor(run, 1, 1024 * MB, tolerance)
    assert found.failed < needed <= found.ran
    assert found.ran - found.failed <= tolerance
    assert len(asked) == len(set(asked)) <= 33


def test_what_runs_with_the_lowest_limit_has_no_limit_that_fails():
    assert memory_floor(lambda limit: True, 5, 10, 1) == MemoryFloor(5, None)


def test_what_does_not_run_with_the_highest_limit_is_an_error():
    with pytest.raises(ValueError, match="does not run with 10 bytes"):
        memory_floor(lambda limit: False, 5, 10, 1)


@pytest.mark.parametrize("low, high, tolerance", [(10, 5, 1), (5, 5, 1), (0, 5, 1), (1, 5, 0)])
def test_a_range_that_is_none_is_refused(low, high, tolerance):
    with pytest.raises(ValueError, match="expected 0 < low < high"):
        memory_floor(lambda limit: True, low, high, tolerance)
