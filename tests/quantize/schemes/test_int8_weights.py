"""8-bit weights against their definition."""

import numpy as np
import pytest

from aquatint.quantize.schemes.int8_weights import codes_of, scales_of

rng = np.random.default_rng(0)
LINEAR = rng.standard_normal((40, 96)).astype(np.float32)
CONV = rng.standard_normal((12, 5, 3, 3)).astype(np.float32)


@pytest.mark.parametrize("weight", [LINEAR, CONV, LINEAR.T], ids=["linear", "conv", "turned"])
def test_scales_are_the_largest_magnitudes_over_127(weight):
    expected = np.array([np.abs(channel).max() for channel in weight]) / 127
    assert scales_of(weight) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("weight", [LINEAR, CONV, LINEAR.T], ids=["linear", "conv", "turned"])
def test_no_weight_is_off_by_more_than_half_a_step(weight):
    scales = scales_of(weight)
    codes = codes_of(weight, scales)
    assert (codes.dtype, codes.min(), codes.max()) == (np.int8, -127, 127)
    steps = scales.reshape(-1, *[1] * (weight.ndim - 1)).astype(np.float64)
    assert (np.abs(codes * steps - weight) <= steps * (0.5 + 1e-5)).all()


def test_a_channel_does_not_see_the_others():
    louder = LINEAR.copy()
    louder[3] *= 1000
    assert np.array_equal(np.delete(scales_of(louder), 3), np.delete(scales_of(LINEAR), 3))


@pytest.mark.parametrize("value", [0.0, -0.0, 0.3, -0.7, 1e-45, 3.4e38])
def test_channels_of_one_magnitude_are_exact(value):
    weight = np.full((4, 9), value, np.float32) * np.where(rng.random((4, 9)) < 0.5, -1, 1).astype(np.float32)
    scales = scales_of(weight)
    assert np.array_equal(codes_of(weight, scales) * scales[:, None], weight)


def test_numbers_too_small_for_a_scale_are_zeros():
    weight = np.array([[1e-45, 0.0, 0.0]], np.float32)
    assert np.isfinite(scales_of(weight)).all()
    assert not codes_of(weight, scales_of(weight)).any()
