"""Grids of 4-bit codes: nearer to the weights than rounding is, and exact where they can be."""

import numpy as np
import pytest

from aquatint.quantize.grid import Grid, codes_of, search

rng = np.random.default_rng(0)
WEIGHTS = {
    "normal": rng.standard_normal((64, 5, 64)),
    "heavy-tailed": rng.standard_t(4, (64, 5, 64)),
    "one-sided": np.abs(rng.standard_normal((64, 5, 64))) + 1,
    "with outliers": rng.standard_normal((64, 5, 64)) * np.where(rng.random((64, 5, 64)) < 0.02, 20, 1),
    "small": rng.standard_normal((64, 5, 64)) * 1e-6,
}
WEIGHTS = {name: weight.astype(np.float32) for name, weight in WEIGHTS.items()}


def back(weight, grid):
    zeros = 0 if grid.zero_points is None else grid.zero_points[..., None].astype(np.float64)
    return (codes_of(weight, grid) - zeros) * grid.scales[..., None].astype(np.float64)


def errors(weight, grid):
    """(out, groups) squared."""
    return ((weight - back(weight, grid)) ** 2).sum(-1)


def round_to_nearest(weight, symmetric):
    if symmetric:
        return Grid(np.abs(weight).max(-1) / np.float32(7))
    low, high = np.minimum(weight.min(-1), 0), np.maximum(weight.max(-1), 0)
    scales = (high - low) / np.float32(15)
    return Grid(scales, np.rint(-low / scales).astype(np.uint8))


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", WEIGHTS)
def test_no_group_is_further_off_than_by_round_to_nearest(name, symmetric):
    weight = WEIGHTS[name]
    ours, theirs = errors(weight, search(weight, symmetric)), errors(weight, round_to_nearest(weight, symmetric))
    assert (ours <= theirs * (1 + 1e-5)).all()


@pytest.mark.parametrize("symmetric, less", [(True, 0.8), (False, 0.95)])
@pytest.mark.parametrize("name", ["normal", "heavy-tailed"])
def test_the_squared_error_falls_well_below_round_to_nearests(name, symmetric, less):
    weight = WEIGHTS[name]
    ours, theirs = search(weight, symmetric), round_to_nearest(weight, symmetric)
    assert errors(weight, ours).sum() < less * errors(weight, theirs).sum()


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_finer_search_would_gain_little(symmetric):
    weight = WEIGHTS["normal"]
    grid = search(weight, symmetric)
    finer = [
        errors(weight, Grid(grid.scales * np.float32(factor), grid.zero_points))
        for factor in np.linspace(0.5, 1.5, 201)
    ]
    assert errors(weight, grid).sum() < 1.03 * np.min(finer, axis=0).sum()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("value", [0.0, 1e-30, -1e-45, 0.1, -0.1, 3e38, -3e38])
def test_groups_of_one_value_come_back_bit_for_bit(value, symmetric):
    weight = np.full((2, 3, 32), value, np.float32)
    grid = search(weight, symmetric)
    assert np.array_equal(back(weight, grid).astype(np.float32), weight)
    assert (grid.scales > 0).all()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("factor", [1e-44, 1e-30, 1e30, 3e37])
def test_numbers_at_the_ends_of_float32_stay_finite_and_near(factor, symmetric):
    weight = (np.clip(WEIGHTS["normal"], -4, 4) * factor).astype(np.float32)
    grid = search(weight, symmetric)
    assert np.isfinite(grid.scales).all()
    assert (grid.scales > 0).all()
    assert np.abs(back(weight, grid) - weight).max() < max(factor, 2e-45)


def test_a_symmetric_group_of_one_magnitude_comes_back_bit_for_bit():
    weight = np.where(rng.random((2, 3, 32)) < 0.5, -0.3, 0.3).astype(np.float32)
    assert np.array_equal(back(weight, search(weight, True)).astype(np.float32), weight)


@pytest.mark.parametrize("symmetric", [True, False])
def test_groups_do_not_see_each_other_nor_the_slices(symmetric, monkeypatch):
    from aquatint.quantize import grid

    weight = WEIGHTS["normal"]
    whole = search(weight, symmetric)
    monkeypatch.setattr(grid, "SLICE", 3 * 64)
    sliced = search(weight, symmetric)
    assert np.array_equal(whole.scales, sliced.scales)
    assert np.array_equal(codes_of(weight, whole), codes_of(weight, sliced))
    assert np.array_equal(search(weight[5:6, 2:3], symmetric).scales[0], whole.scales[5, 2:3])


@pytest.mark.parametrize("symmetric, kind, low, high", [(True, np.int8, -8, 7), (False, np.uint8, 0, 15)])
def test_codes_use_all_of_their_4_bits_and_no_more(symmetric, kind, low, high):
    codes = codes_of(WEIGHTS["normal"], search(WEIGHTS["normal"], symmetric))
    assert (codes.dtype, codes.min(), codes.max()) == (kind, low, high)
