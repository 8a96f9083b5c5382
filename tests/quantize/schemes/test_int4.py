"""4-bit groups in a graph: laid out as ONNX wants them, and better than rounding."""

import numpy as np
import pytest

from aquatint.quantize.apply import quantize_model
from aquatint.quantize.assign import Rule, assign
from aquatint.quantize.layers import find_layers

ir = pytest.importorskip("onnx_ir")


def quantized(small, **settings):
    model = small.model()
    quantize_model(model, assign(find_layers(model), [Rule("int4", settings=settings)], Rule("none")))
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


def test_both_layouts_of_a_weight_give_the_same_numbers(small, dequantized):
    weight = np.random.default_rng(1).standard_normal((192, 128)).astype(np.float32)
    other = small.model(up=np.ascontiguousarray(weight.T), network_down_weight=weight[:64].repeat(2, 1)[:, :192])
    quantize_model(other, assign(find_layers(other), [Rule("int4")], Rule("none")))
    turned = dequantized(other)["block.0.up"]
    from aquatint.quantize.grid import codes_of, search

    groups = weight.reshape(192, 2, 64)
    grid = search(groups, True)
    expected = (codes_of(groups, grid) * grid.scales[..., None]).reshape(192, 128)
    assert np.array_equal(turned.T, expected)
