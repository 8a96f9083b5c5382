"""4-bit groups in a graph: laid out as ONNX wants them, and better than rounding."""

import numpy as np
import pytest

from aquatint.quantize.apply import quantize_model
from aquatint.quantize.assign import Rule, assign
from aquatint.quantize.layers import find_layers
from aquatint.quantize.scheme import find_scheme
from aquatint.runtime.errors import BadModel, BadProfile

ir = pytest.importorskip("onnx_ir")


def quantized(small, **settings):
    """With the nearest codes, for which the grid is searched."""
    model = small.model()
    rule = Rule("int4", settings={"feedback": False, **settings})
    quantize_model(model, assign(find_layers(model), [rule], Rule("none")))
    return model


@pytest.mark.parametrize("symmetric, kind", [(True, "INT4"), (False, "UINT4")])
def test_scales_stand_for_blocks_along_the_inputs(symmetric, kind, small):
    model = quantized(small, group_size=64, symmetric=symmetric)
    held = model.graph.initializers
    assert held["block.0.up.codes"].dtype == held["down.codes"].dtype == ir.DataType[kind]
    assert held["block.0.up.codes"].shape == [128, 192]
    assert held["block.0.up.scales"].shape == [2, 192]
    assert held["down.codes"].shape == [64, 192]
    assert held["down.scales"].shape == [64, 3]
    assert ("down.zero_points" in held) == (not symmetric)


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("symmetric", [True, False])
def test_the_error_in_the_graph_is_below_round_to_nearests(size, symmetric, small, dequantized):
    ours = dequantized(quantized(small, group_size=size, symmetric=symmetric))["down"]
    weight = small.weights["network.down.weight"]
    groups = weight.reshape(64, -1, size).astype(np.float64)
    if symmetric:
        scales = np.abs(groups).max(-1, keepdims=True) / 7
        rounded = np.rint(groups / scales) * scales
    else:
        scales = (groups.max(-1, keepdims=True) - groups.min(-1, keepdims=True)) / 15
        zeros = np.rint(-groups.min(-1, keepdims=True) / scales)
        rounded = (np.clip(np.rint(groups / scales) + zeros, 0, 15) - zeros) * scales
    assert ((ours - weight) ** 2).sum() < 0.97 * ((rounded.reshape(weight.shape) - weight) ** 2).sum()


def test_zero_points_make_it_better_still(small, dequantized):
    weight = small.weights["network.down.weight"]
    plain, shifted = (dequantized(quantized(small, symmetric=symmetric))["down"] for symmetric in (True, False))
    assert ((shifted - weight) ** 2).sum() < 0.9 * ((plain - weight) ** 2).sum()


@pytest.mark.parametrize("name, value", [("block.0.up", "up"), ("down", "network.down.weight")])
def test_feedback_lowers_the_error_of_the_layers_output(name, value, small, small_activations, dequantized):
    weight = small.weights[value] if name == "down" else small.weights[value].T
    rows = np.concatenate(small_activations.of(name).rows)
    off = []
    for feedback in (False, True):
        model = small.model()
        assignments = assign(find_layers(model), [Rule("int4", settings={"feedback": feedback})], Rule("none"))
        quantize_model(model, assignments, small_activations)
        back = dequantized(model)[name]
        off.append(np.mean((rows @ ((back if name == "down" else back.T) - weight).T) ** 2))
    # The layer is given 20 different rows, so that most errors in its 128 or 192 inputs can make up for each other.
    assert off[1] < 0.2 * off[0]


def test_feedback_needs_what_calibration_recorded(small):
    model = small.model()
    with pytest.raises(BadModel, match=r"int4 needs to know what block\.0\.up is given, and no calibration watched it"):
        quantize_model(model, assign(find_layers(model), [Rule("int4")], Rule("none")))


def test_feedback_is_asked_for_only_where_it_is_wanted():
    assert find_scheme("int4").calibrated({"group_size": 64, "symmetric": True, "feedback": True})
    assert not find_scheme("int4").calibrated({"group_size": 64, "symmetric": True, "feedback": False})


@pytest.mark.parametrize("value", [1, "yes", None])
def test_feedback_is_true_or_false(value):
    with pytest.raises(BadProfile, match="int4's feedback is true or false"):
        Rule("int4", settings={"feedback": value})


def test_both_layouts_of_a_weight_give_the_same_numbers(small, dequantized):
    weight = np.random.default_rng(1).standard_normal((192, 128)).astype(np.float32)
    other = small.model(up=np.ascontiguousarray(weight.T), network_down_weight=weight[:64].repeat(2, 1)[:, :192])
    quantize_model(other, assign(find_layers(other), [Rule("int4", settings={"feedback": False})], Rule("none")))
    turned = dequantized(other)["block.0.up"]
    from aquatint.quantize.grid import codes_of, search

    groups = weight.reshape(192, 2, 64)
    grid = search(groups, True)
    expected = (codes_of(groups, grid) * grid.scales[..., None]).reshape(192, 128)
    assert np.array_equal(turned.T, expected)
