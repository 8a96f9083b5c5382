"""Ranges of activations: never worse than the extremes, even where channels are not, and shared by all timesteps."""

from dataclasses import replace

import numpy as np
import pytest

from aquatint.quantize.activations import Activation
from aquatint.quantize.ranges import INTEGERS, METHODS, SHARES, Wishes, fake, find_range

CHANNELS, OUTPUTS, ROWS = 48, 32, 400
PLAIN = Wishes(balance=False)


def given(*calls):
    """An activation of which every row was seen.  calls: (rows, channels)."""
    calls = tuple(rows.astype(np.float32) for rows in calls)
    return Activation(calls, np.stack([rows.min(0) for rows in calls]), np.stack([rows.max(0) for rows in calls]))


def normal(seed=0, count=ROWS, loud=None):
    rows = np.random.default_rng(seed).standard_normal((count, CHANNELS)).astype(np.float32)
    if loud is not None:
        rows[:, loud] *= 50
    return rows


def silu(seed=0):
    rows = normal(seed)
    return rows / (1 + np.exp(-rows))


def heavy(seed=0):
    return np.random.default_rng(seed).standard_t(3, (ROWS, CHANNELS)).astype(np.float32)


WEIGHT = np.random.default_rng(9).standard_normal((OUTPUTS, CHANNELS)).astype(np.float32)
KINDS = {
    "normal": normal(),
    "behind a SiLU": silu(),
    "heavy-tailed": heavy(),
    "with a loud channel": normal(loud=3),
    "positive": np.abs(normal()),
    "negative": -np.abs(normal()),
    "zero": np.zeros((ROWS, CHANNELS), np.float32),
    "one value": np.full((ROWS, CHANNELS), 0.3, np.float32),
    "tiny": normal() * np.float32(1e-20),
}


def with_8_bits(rows, weight, found):
    """The layer's output, activations and weights rounded as a scheme does it, in float64."""
    factors = np.ones(rows.shape[1], np.float32) if found.factors is None else found.factors
    scaled = weight / factors
    steps = np.abs(scaled).max(1, keepdims=True).astype(np.float64) / 127
    low, high = (-128, 127) if found.zero_point is None else (0, 255)
    zero = found.zero_point or 0
    codes = np.clip(np.rint(rows * factors / found.scale) + zero, low, high)
    return (codes - zero) * np.float64(found.scale) @ (np.rint(scaled / steps) * steps).T


def output_error(rows, weight, found):
    """Share of the output's mean square that is lost, of the rows and of one row each of the channels' extremes."""
    rows = np.concatenate([rows, rows.min(0)[None], rows.max(0)[None]])
    exact = rows.astype(np.float64) @ weight.T.astype(np.float64)
    return np.mean((with_8_bits(rows, weight, found) - exact) ** 2) / np.mean(exact**2)


@pytest.mark.parametrize("zero_point", [None, 0, 7, 255])
def test_fake_is_quantizelinear_and_back_as_onnx_defines_them(zero_point):
    reference = pytest.importorskip("onnx.reference")
    from onnx import TensorProto, helper, numpy_helper

    values = np.append(normal()[0] * 40, np.float32([0.25, 0.75, -0.25, 1e6, -1e6]))
    zero = np.array(0, np.int8) if zero_point is None else np.array(zero_point, np.uint8)
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), helper.make_node("DequantizeLinear", "qsz", "y")],
        "pair",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None])],
        [numpy_helper.from_array(np.array(0.5, np.float32), "s"), numpy_helper.from_array(zero, "z")],
    )
    (theirs,) = reference.ReferenceEvaluator(helper.make_model(graph)).run(None, {"x": values})
    assert np.array_equal(fake(values, np.float32(0.5), zero_point), theirs)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", KINDS)
def test_least_error_is_never_worse_than_the_extremes(name, symmetric):
    wishes = replace(PLAIN, symmetric=symmetric)
    least = find_range(given(KINDS[name]), WEIGHT, wishes)
    extremes = find_range(given(KINDS[name]), WEIGHT, replace(wishes, method="extremes"))
    assert least.error <= extremes.error


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("name", [name for name in KINDS if name != "zero"])
def test_the_error_that_it_tells_is_the_outputs(name, symmetric, method):
    found = find_range(given(KINDS[name]), WEIGHT, replace(PLAIN, symmetric=symmetric, method=method))
    seen = output_error(KINDS[name], WEIGHT, found)
    # It is told for independent noise.  Of one value there is none at best; where all values have one sign, what is
    # lost by the weights adds up.
    if name == "one value":
        assert seen < 1e-4
    else:
        assert seen == pytest.approx(found.error, rel=0.5 if name in ("positive", "negative") else 0.2)


def test_extremes_reach_from_the_lowest_to_the_highest():
    rows = silu()
    found = find_range(given(rows, 2 * rows), WEIGHT, Wishes("extremes", balance=False))
    low, high = 2 * rows.min(), 2 * rows.max()
    assert found.scale == pytest.approx((high - low) / 255, rel=1e-6)
    assert found.zero_point == round(float(-low / found.scale))
    even = find_range(given(rows), WEIGHT, Wishes("extremes", symmetric=True, balance=False))
    assert (even.scale, even.zero_point) == (pytest.approx(rows.max() / 127, rel=1e-6), None)


def test_extremes_outside_of_the_rows_count():
    seen = given(normal())
    wider = replace(seen, low=seen.low - 100)
    found = find_range(wider, WEIGHT, Wishes("extremes", balance=False))
    assert found.scale == pytest.approx((float(seen.high.max()) + 100 - float(seen.low.min())) / 255, rel=1e-5)


def test_least_error_reaches_for_extremes_that_no_sampled_row_has():
    seen = given(normal())
    rarely = replace(seen, high=seen.high * 3)
    assert find_range(rarely, WEIGHT, PLAIN).scale > 1.3 * find_range(seen, WEIGHT, PLAIN).scale


@pytest.mark.parametrize("percentile", [90, 99, 99.9])
def test_a_percentile_is_of_the_magnitudes(percentile):
    rows = heavy()
    found = find_range(given(rows), WEIGHT, Wishes("percentile", symmetric=True, percentile=percentile, balance=False))
    assert found.scale == pytest.approx(np.percentile(np.abs(rows), percentile) / 127, rel=1e-6)


@pytest.mark.parametrize("rows", [np.abs(normal()) + 5, -np.abs(normal()) - 5])
def test_zero_is_always_a_code(rows):
    found = find_range(given(rows), WEIGHT, Wishes("extremes", balance=False))
    assert fake(np.zeros(1, np.float32), found.scale, found.zero_point)[0] == 0
    assert found.zero_point in (0, 255)


def test_a_zero_point_halves_the_steps_behind_a_silu():
    shifted = find_range(given(silu()), WEIGHT, PLAIN)
    even = find_range(given(silu()), WEIGHT, replace(PLAIN, symmetric=True))
    # Half a step is a quarter of the squared error, but the weights' stays.
    assert output_error(silu(1), WEIGHT, shifted) < 0.5 * output_error(silu(1), WEIGHT, even)


def test_factors_help_where_one_channel_is_fifty_times_louder():
    rows = normal(loud=3)
    plain = find_range(given(rows), WEIGHT, PLAIN)
    balanced = find_range(given(rows), WEIGHT, Wishes())
    assert plain.factors is None
    assert balanced.factors[3] < 0.4 * np.median(balanced.factors)
    # What the loud channel says is in every output; of the quiet ones' part, which the steps are too coarse for, less
    # than a third of the error is left.
    other = normal(1, loud=3)
    assert output_error(other, WEIGHT, balanced) < 0.35 * output_error(other, WEIGHT, plain)


def test_factors_are_not_used_where_channels_are_even():
    rng = np.random.default_rng(2)
    rows, weight = rng.uniform(-1, 1, (ROWS, CHANNELS)), rng.uniform(-1, 1, WEIGHT.shape).astype(np.float32)
    assert find_range(given(rows), weight, Wishes()).factors is None


def test_factors_are_positive_and_bounded():
    rows = normal(loud=3)
    rows[:, 5] = 0
    rows[:, 6] *= 1e-12
    weight = WEIGHT.copy()
    weight[:, 7] = 0
    found = find_range(given(rows), weight, Wishes())
    assert np.isfinite(found.factors).all()
    assert found.factors.dtype == np.float32
    assert found.factors.min() >= 1 / 64.001
    assert found.factors.max() <= 64.001


def test_every_call_weighs_the_same_however_small_its_numbers():
    quiet, loud = normal(1), normal(2) * 100
    found = find_range(given(quiet, loud), WEIGHT, PLAIN)
    alone = find_range(given(loud), WEIGHT, PLAIN)
    # Alone, the loud call nearly keeps its extremes; the quiet one makes the range smaller for its own steps.
    assert found.scale < 0.8 * alone.scale
    both = [(output_error(quiet, WEIGHT, way) + output_error(loud, WEIGHT, way)) / 2 for way in (found, alone)]
    assert both[0] < 0.8 * both[1]


def test_a_convolution_is_weighed_by_all_of_its_kernel():
    weight = np.random.default_rng(1).standard_normal((OUTPUTS, CHANNELS, 3, 3)).astype(np.float32)
    flat = find_range(given(normal(loud=3)), weight.sum((2, 3)) * 0 + np.sqrt((weight**2).sum((2, 3))), PLAIN)
    kernel = find_range(given(normal(loud=3)), weight, PLAIN)
    assert (kernel.scale, kernel.zero_point) == (flat.scale, flat.zero_point)


@pytest.mark.parametrize("shape", [(OUTPUTS, CHANNELS), (OUTPUTS, CHANNELS, 3, 3)])
def test_what_weights_lose_is_foreseen(shape):
    weight = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    steps = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True) / 127
    errors = np.rint(weight / steps) * steps - weight
    # Of steps whose errors have any size in them: some hundreds of draws for each channel at least.
    assert INTEGERS.lost(weight).shape == (CHANNELS,)
    assert INTEGERS.lost(weight).sum() == pytest.approx(np.sum(errors.astype(np.float64) ** 2), rel=0.1)


def test_a_grouped_convolution_has_a_range_for_all_of_its_channels_and_no_factors():
    rows = normal(loud=3)
    grouped = np.random.default_rng(1).standard_normal((OUTPUTS, CHANNELS // 4, 3, 3)).astype(np.float32)
    grouped[: OUTPUTS // 4] *= 1e-3  # the loud channel's group, so that the others decide
    whole = np.zeros((OUTPUTS, CHANNELS, 3, 3), np.float32)  # the same, said without groups
    for group in range(4):
        outputs = slice(group * OUTPUTS // 4, (group + 1) * OUTPUTS // 4)
        inputs = slice(group * CHANNELS // 4, (group + 1) * CHANNELS // 4)
        whole[outputs, inputs] = grouped[outputs]
    found = find_range(given(rows), grouped, Wishes())
    expected = find_range(given(rows), whole, PLAIN)
    assert found.factors is None
    assert (found.scale, found.zero_point) == (expected.scale, expected.zero_point)


@pytest.mark.parametrize("name", KINDS)
def test_the_same_comes_out_again(name):
    first, second = (find_range(given(KINDS[name]), WEIGHT, Wishes()) for _ in range(2))
    assert (first.scale, first.zero_point, first.error) == (second.scale, second.zero_point, second.error)
    assert (first.factors is None) == (second.factors is None)
    assert first.factors is None or np.array_equal(first.factors, second.factors)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", KINDS)
def test_scales_are_positive_and_zero_points_fit_a_byte(name, method):
    found = find_range(given(KINDS[name]), WEIGHT, Wishes(method))
    assert found.scale.dtype == np.float32
    assert np.isfinite(found.scale)
    assert found.scale > 0
    assert 0 <= found.zero_point <= 255


def test_many_rows_are_thinned_out_and_give_nearly_the_same():
    rows = heavy()
    many = given(*[rows] * 12)
    assert sum(call.size for call in many.rows) > 1 << 17
    assert find_range(many, WEIGHT, PLAIN).scale == pytest.approx(
        find_range(given(rows), WEIGHT, PLAIN).scale, rel=1 - SHARES[1]
    )
