"""Lines through times."""

import pytest

from aquatint.bench.timing.fits import fit

SIZES = [0.25, 0.5, 1.0, 2.0]


def test_a_line_is_found_again():
    found = fit(SIZES, [0.3 + 2.0 * size for size in SIZES])
    assert found.fixed_s == pytest.approx(0.3)
    assert found.per_megapixel_s == pytest.approx(2.0)
    assert found.worst == pytest.approx(0.0, abs=1e-9)


def test_a_power_is_seen_as_one_and_the_line_admits_its_error():
    found = fit(SIZES, [1.5 * size**2 for size in SIZES])
    assert found.exponent == pytest.approx(2.0)
    assert found.worst > 0.1


def test_two_sizes_are_too_few():
    assert fit([1.0, 2.0, 2.0], [1.0, 2.0, 2.1]) is None
