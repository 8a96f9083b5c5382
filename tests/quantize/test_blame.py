"""Which layers lose most: each by itself, on float inputs, against NumPy."""

import numpy as np
import pytest

from aquatint.quantize import blame as module
from aquatint.quantize.apply import quantize_model
from aquatint.quantize.assign import Rule, assign
from aquatint.quantize.blame import blame
from aquatint.quantize.layers import find_layers
from aquatint.quantize.weights import LAYER, SCHEME
from aquatint.runtime.errors import MissingPackage
from aquatint.runtime.target import Target

ir = pytest.importorskip("onnx_ir")

ENGINES = ("ort", "openvino")


@pytest.fixture
def saved(tmp_path):
    def save(model, name):
        path = tmp_path / f"{name}.onnx"
        ir.save(model, path, external_data=f"{name}.data")
        return path

    return save


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch):
    """Only this one is there."""
    pytest.importorskip({"ort": "onnxruntime"}.get(request.param, request.param))
    monkeypatch.setattr(module, "ENGINES", (Target(request.param, "cpu"),))


NEAREST = {"feedback": False}  # needs no calibration


def quantized(model, scheme, rules=()):
    settings = NEAREST if scheme == "int4" else {}
    quantize_model(model, assign(find_layers(model), list(rules), Rule(scheme, settings=settings)))
    return model


def relative(found, expected):
    return np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2))


def numbers(losses):
    return {loss.layer: loss.relative_error for loss in losses}


@pytest.mark.parametrize("scheme", ["int8-weights", "int4"])
def test_the_loss_is_of_each_layer_alone_on_the_float_graphs_inputs(small, dequantized, saved, engine, scheme):
    other = quantized(small.model(), scheme)
    path = saved(other, "quantized")
    found = numbers(blame(saved(small.model(), "float"), path, small.feeds))
    held, rounded = small.weights, dequantized(ir.load(path))
    states = held["network.embed.weight"][small.feeds["tokens"]].reshape(-1, 128)
    lifted = states @ held["up"] + held["network.up.bias"]
    expected = {
        "block.0.up": relative(states @ rounded["block.0.up"], states @ held["up"]),
        # Its bias is part of what a Gemm gives.
        "down": np.sqrt(
            np.sum((lifted @ (rounded["down"] - held["network.down.weight"]).T) ** 2)
            / np.sum((lifted @ held["network.down.weight"].T + held["network.down.bias"]) ** 2)
        ),
    }
    assert set(found) == {*expected, "grouped", "pointwise"}
    # Float32 sums of both engines differ by 1e-6 of the outputs, which is 1e-4 of an error of 1e-2.
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-3)
    assert all(0 < value < 0.2 for value in found.values())


def test_the_worst_layer_comes_first_and_float_layers_have_no_blame(small, saved, engine):
    other = quantized(
        small.model(), "int8-weights", [Rule("int4", layers="down", settings=NEAREST), Rule("none", layers="grouped")]
    )
    losses = blame(saved(small.model(), "float"), saved(other, "quantized"), small.feeds)
    assert losses[0].layer == "down"
    assert losses[0].relative_error > 5 * losses[1].relative_error
    assert {loss.layer for loss in losses} == {"down", "block.0.up", "pointwise"}


def test_rounded_activations_are_blamed_on_the_layer_that_reads_them(small, saved, engine):
    """As a scheme for activations writes it: one pair before the layer, in steps of 0.5."""
    others = [Rule("none", layers=name) for name in ("down", "grouped", "pointwise")]
    other = quantized(small.model(), "int8-weights", others)
    node = next(node for node in other.graph if node.op_type == "MatMul")
    value = node.inputs[0]
    scale, zero = (
        ir.Value(name=name, const_value=ir.Tensor(array, name=name))
        for name, array in (("step", np.array(0.5, np.float32)), ("zero", np.array(0, np.int8)))
    )
    for constant in (scale, zero):
        other.graph.register_initializer(constant)
    marks = {SCHEME: "int8", LAYER: "block.0.up"}
    down = ir.node("QuantizeLinear", [value, scale, zero], metadata_props=marks, name="down8")
    up = ir.node("DequantizeLinear", [down.outputs[0], scale, zero], metadata_props=marks, name="up8")
    down.outputs[0].name, up.outputs[0].name = "lowered", "raised"
    node.replace_input_with(0, up.outputs[0])
    other.graph.insert_before(node, [down, up])
    found = numbers(blame(saved(small.model(), "float"), saved(other, "quantized"), small.feeds))
    states = small.weights["network.embed.weight"][small.feeds["tokens"]].reshape(-1, 128)
    steps = np.clip(np.rint(states / 0.5), -128, 127) * 0.5
    alone = relative(steps @ small.weights["up"], states @ small.weights["up"])
    # The 8-bit weights add 0.7 % to the 14 % of the steps; their squares add up.
    assert found == {"block.0.up": pytest.approx(alone, rel=0.02)}


def test_a_weight_behind_a_transpose_is_seen(saved, engine):
    """As torch's old exporter writes a linear layer."""
    rng = np.random.default_rng(0)
    array = rng.standard_normal((48, 64)).astype(np.float32)

    def model():
        weight = ir.Value(name="network.fc.weight", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([48, 64]))
        weight.const_value = ir.Tensor(array, name=weight.name)
        x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["batch", 64]))
        turned = ir.node("Transpose", [weight], attributes={"perm": [1, 0]})
        product = ir.node("MatMul", [x, turned.outputs[0]])
        product.outputs[0].name, product.outputs[0].type = "y", ir.TensorType(ir.DataType.FLOAT)
        graph = ir.Graph(
            [x], product.outputs, nodes=[turned, product], initializers=[weight], opset_imports={"": 23}
        )  # fmt: skip
        return ir.Model(graph, ir_version=10)

    feeds = {"x": rng.standard_normal((3, 64)).astype(np.float32)}
    losses = blame(saved(model(), "float"), saved(quantized(model(), "int4"), "quantized"), feeds)
    assert [loss.layer for loss in losses] == ["fc"]
    assert 0.01 < losses[0].relative_error < 0.2


def test_a_unets_layers_are_all_ranked(unet, saved, engine):
    graph, _, feeds = unet
    other = ir.load(graph)
    layers = {layer.name for layer in find_layers(other)}
    losses = blame(graph, saved(quantized(other, "int8-weights"), "quantized"), feeds)
    assert {loss.layer for loss in losses} == layers
    errors = [loss.relative_error for loss in losses]
    assert errors == sorted(errors, reverse=True)
    assert 0 < errors[0] < 0.05


def test_without_an_engine_it_says_what_to_install(small, saved, monkeypatch):
    monkeypatch.setattr(module, "ENGINES", ())
    path = saved(quantized(small.model(), "int8-weights"), "quantized")
    with pytest.raises(MissingPackage, match=r"pip install"):
        blame(saved(small.model(), "float"), path, small.feeds)
