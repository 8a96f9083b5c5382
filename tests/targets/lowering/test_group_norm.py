"""GroupNormalization by InstanceNormalization: the same numbers as its formula."""

import numpy as np
import pytest

from aquatint.runtime.errors import BadModel
from aquatint.targets.lowering.group_norm import take_apart_group_norm

ir = pytest.importorskip("onnx_ir")

CHANNELS, GROUPS, EPSILON = 12, 3, 0.01  # an epsilon that shows
SCALE, BIAS = np.linspace(0.5, 2, CHANNELS, dtype=np.float32), np.linspace(-1, 1, CHANNELS, dtype=np.float32)
CLOSE = {"rtol": 1e-4, "atol": 1e-5}  # float32 sums over 80 numbers


def group_norm(x):
    """(x - mean) / sqrt(variance + epsilon) of each group, times scale plus bias of each channel."""
    grouped = x.reshape(len(x), GROUPS, -1).astype(np.float64)
    centred = grouped - grouped.mean(-1, keepdims=True)
    whole = (centred / np.sqrt(grouped.var(-1, keepdims=True) + EPSILON)).reshape(x.shape)
    column = (1, -1, *(1,) * (x.ndim - 2))
    return whole * SCALE.reshape(column) + BIAS.reshape(column)


def graph(sketch, *shape, scale=SCALE, stored="float32"):
    held = [sketch.constant(name, array.astype(stored)) for name, array in (("scale", scale), ("bias", BIAS))]
    if stored != "float32":
        held = [sketch.add("Cast", value, to=1, shape=value.shape) for value in held]
    x = sketch.input("x", *shape)
    y = sketch.add("GroupNormalization", x, *held, num_groups=GROUPS, epsilon=EPSILON, stash_type=1)
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
    assert take_apart_group_norm(model) == 1
    kinds = [node.op_type for node in model.graph]
    assert kinds.count("InstanceNormalization") == 1
    assert ("Shape" in kinds) == (shape != fed)
    assert "GroupNormalization" not in kinds
    check_types(model)
    np.testing.assert_allclose(evaluate(model, {"x": numbers(*fed)})[0], group_norm(numbers(*fed)), **CLOSE)
    assert take_apart_group_norm(model) == 0


def test_a_scale_stored_in_16_bits_is_found_behind_its_cast(sketch, evaluate, check_types):
    model = graph(sketch, 2, CHANNELS, 4, 5, stored="float16")
    take_apart_group_norm(model)
    check_types(model)
    assert "Cast" not in [node.op_type for node in model.graph]
    assert not {"scale", "bias"} & set(model.graph.initializers)
    (got,) = evaluate(model, {"x": numbers(2, CHANNELS, 4, 5)})
    # Scale and bias are rounded to 11 bits, 5e-4 of at most 2 times what reaches 3.
    np.testing.assert_allclose(got, group_norm(numbers(2, CHANNELS, 4, 5)), atol=3e-3)


def test_one_scale_for_each_group_is_refused(sketch):
    with pytest.raises(BadModel, match="scale is 3 numbers, not one number for each of 12 channels"):
        take_apart_group_norm(graph(sketch, 2, CHANNELS, 4, 5, scale=SCALE[:GROUPS]))


def test_unknown_channels_are_refused(sketch):
    with pytest.raises(BadModel, match="channels are not known"):
        take_apart_group_norm(graph(sketch, 2, "channels", 4, 5))
