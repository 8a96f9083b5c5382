"""GroupNormalization by LayerNormalization: the same numbers as its formula."""

import numpy as np
import pytest

from aquatint.runtime.errors import BadModel
from aquatint.targets.lowering.group_norm_rows import group_norm_as_rows
from aquatint.targets.lowering.typed import type_graph

ir = pytest.importorskip("onnx_ir")

CHANNELS, GROUPS, EPSILON = 12, 3, 0.01  # an epsilon that shows
SCALE, BIAS = np.linspace(0.5, 2, CHANNELS, dtype=np.float32), np.linspace(-1, 1, CHANNELS, dtype=np.float32)


def group_norm(x):
    """(x - mean) / sqrt(variance + epsilon) of each group, times scale plus bias of each channel."""
    grouped = x.reshape(len(x), GROUPS, -1).astype(np.float64)
    centred = grouped - grouped.mean(-1, keepdims=True)
    whole = (centred / np.sqrt(grouped.var(-1, keepdims=True) + EPSILON)).reshape(x.shape)
    column = (1, -1, *(1,) * (x.ndim - 2))
    return whole * SCALE.reshape(column) + BIAS.reshape(column)


def graph(sketch, *shape, scale=SCALE):
    """Two norms, the second of what the first gives."""
    held = [sketch.constant(name, array) for name, array in (("scale", scale), ("bias", BIAS))]
    y = sketch.input("x", *shape)
    for _ in range(2):
        y = sketch.add("GroupNormalization", y, *held, num_groups=GROUPS, epsilon=EPSILON, shape=shape)
    sketch.output("y", y, *shape)
    return sketch.model()


def numbers(*shape):
    return np.random.default_rng(0).normal(3, 2, shape).astype(np.float32)


@pytest.mark.parametrize(
    "shape, fed",
    [
        ((2, CHANNELS, 4, 5), (2, CHANNELS, 4, 5)),
        (("batch", CHANNELS, "height", "width"), (2, CHANNELS, 4, 5)),
        (("batch", CHANNELS, "tokens"), (2, CHANNELS, 20)),
    ],
    ids=["static", "dynamic", "three dimensions"],
)
def test_it_gives_what_the_formula_gives(shape, fed, sketch, evaluate, check_types):
    model = graph(sketch, *shape)
    assert group_norm_as_rows(model) == 2
    kinds = [node.op_type for node in model.graph]
    assert kinds.count("LayerNormalization") == 2
    assert "GroupNormalization" not in kinds
    check_types(model)
    x = numbers(*fed)
    # float32 sums over 80 numbers
    np.testing.assert_allclose(evaluate(model, {"x": x})[0], group_norm(group_norm(x)), rtol=1e-4, atol=2e-5)
    assert group_norm_as_rows(model) == 0


def test_rows_of_one_length_share_their_ones(sketch):
    model = graph(sketch, 2, CHANNELS, 4, 5)
    group_norm_as_rows(model)
    assert [node.op_type for node in model.graph].count("Expand") == 1


@pytest.mark.parametrize("math, error", [("fp16", 2e-3), ("bf16", 2e-2)])
def test_in_16_bits_it_is_rounded_and_nothing_else(math, error, sketch, evaluate_rounded, check_types):
    model = graph(sketch, 2, CHANNELS, 4, 5)
    group_norm_as_rows(model)
    type_graph(model, math)
    check_types(model)
    x = numbers(2, CHANNELS, 4, 5)
    (got,) = evaluate_rounded(model, {"x": x})
    expected = group_norm(group_norm(x))
    # Six results of 11 or 8 bits, one after the other.
    assert np.linalg.norm(got - expected) < error * np.linalg.norm(expected)


def test_one_scale_for_each_group_is_refused(sketch):
    with pytest.raises(BadModel, match="scale is 3 numbers, not one number for each of 12 channels"):
        group_norm_as_rows(graph(sketch, 2, CHANNELS, 4, 5, scale=SCALE[:GROUPS]))


def test_unknown_channels_are_refused(sketch):
    with pytest.raises(BadModel, match="channels are not known"):
        group_norm_as_rows(graph(sketch, 2, "channels", 4, 5))
