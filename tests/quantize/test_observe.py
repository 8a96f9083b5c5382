"""An observed graph: its own outputs as before, rows of what layers are given, and exact extremes."""

import numpy as np
import pytest

from aquatint.quantize.layers import find_layers
from aquatint.quantize.observe import HIGH, LOW, PLACES, ROWS, observe, watched

ir = pytest.importorskip("onnx_ir")

RNG = np.random.default_rng(5)
SHARES = np.append(RNG.random(40, np.float32), np.array([0, np.nextafter(1, 0, dtype=np.float32)], np.float32))


@pytest.fixture(scope="module")
def told(small, run_ort, tmp_path_factory):
    """(layer -> value, {output: array}) of the small graph, with places SHARES."""
    model = small.model()
    values = observe(model, find_layers(model))
    path = tmp_path_factory.mktemp("observed") / "observed.onnx"
    ir.save(model, path)
    names = [output.name for output in model.graph.outputs]
    return values, dict(zip(names, run_ort(path, {**small.feeds, PLACES: SHARES}), strict=True))


@pytest.fixture(scope="module")
def given(small):
    """Layer -> what it is given, computed here: (positions, channels) or (batch, channels, positions)."""
    torch = pytest.importorskip("torch")
    w = small.weights
    embedded = w["network.embed.weight"][small.feeds["tokens"]].reshape(-1, 128)
    picture, weight, bias = (
        torch.from_numpy(array)
        for array in (small.feeds["picture"], w["network.grouped.weight"], w["network.grouped.bias"])
    )
    convolved = torch.nn.functional.conv2d(picture, weight, bias, padding=1, groups=4).numpy()
    return {
        "block.0.up": embedded,
        "down": embedded @ w["up"] + w["network.up.bias"],
        "grouped": small.feeds["picture"].reshape(2, 8, 25),
        "pointwise": convolved.reshape(2, 16, 25),
    }


def test_the_graphs_own_outputs_stay_bit_for_bit(small, told, run_ort, tmp_path):
    ir.save(small.model(), tmp_path / "plain.onnx")
    for name, plain in zip(("states", "drawn"), run_ort(tmp_path / "plain.onnx", small.feeds), strict=True):
        assert np.array_equal(told[1][name], plain)


@pytest.mark.parametrize("layer", ["block.0.up", "down", "grouped", "pointwise"])
def test_rows_are_those_at_the_places_and_extremes_are_of_all(layer, told, given):
    values, outputs = told
    x = given[layer]
    linear = x.ndim == 2
    positions = (SHARES.astype(np.float64) * x.shape[0 if linear else 2]).astype(int)
    rows = x[positions] if linear else x[:, :, positions]
    others = 0 if linear else (0, 2)
    # Products are summed in another order; what is not computed comes as it is.
    near = {"rtol": 1e-5, "atol": 1e-5} if layer in ("down", "pointwise") else {"rtol": 0, "atol": 0}
    for word, expected in ((ROWS, rows), (LOW, x.min(others)), (HIGH, x.max(others))):
        np.testing.assert_allclose(outputs[f"{word}{values[layer]}"], expected, **near)


def test_layers_that_share_a_value_name_it_alike_and_it_is_told_once(unet):
    path, _, _ = unet
    model = ir.load(path)
    layers = find_layers(model)
    own = len(model.graph.outputs)
    values = observe(model, layers)
    block = "mid_block.attentions.0.transformer_blocks.0.attn1"
    assert values[f"{block}.to_q"] == values[f"{block}.to_k"] == values[f"{block}.to_v"]
    assert values[f"{block}.to_out.0"] != values[f"{block}.to_q"]
    assert set(values) == {layer.name for layer in layers}
    added = [output.name for output in model.graph.outputs][own:]
    assert len(set(added)) == len(added) == 3 * len(set(values.values()))
    assert len(set(values.values())) < len(values)


def called_twice(small):
    model = small.model()
    up = next(node for node in model.graph if node.op_type == "MatMul")
    other = ir.Value(name="other", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([3, 128]))
    model.graph.inputs.append(other)
    model.graph.append(ir.node("MatMul", [other, up.inputs[1]]))
    return model


def test_a_layer_with_two_different_inputs_is_left_out(small):
    model = called_twice(small)
    assert set(watched(model, find_layers(model))) == {"down", "grouped", "pointwise"}
    assert set(observe(model, find_layers(model))) == {"down", "grouped", "pointwise"}


def test_watching_changes_nothing(small):
    model = small.model()
    nodes, outputs = list(model.graph), list(model.graph.outputs)
    values = watched(model, find_layers(model))
    assert (list(model.graph), list(model.graph.outputs)) == (nodes, outputs)
    assert values == observe(model, find_layers(model))
