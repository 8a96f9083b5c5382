"""8-bit activations in a graph: one pair for all that read a value, factors that cancel, and what both engines make."""

import numpy as np
import pytest

from aquatint.quantize.activations import Activation
from aquatint.quantize.apply import quantize_model
from aquatint.quantize.assign import Rule, assign
from aquatint.quantize.layers import Layer, find_layers
from aquatint.quantize.ranges import Wishes, find_range
from aquatint.quantize.readers import readers
from aquatint.quantize.scheme import find_scheme
from aquatint.quantize.weights import SCHEME
from aquatint.runtime.errors import BadProfile

ir = pytest.importorskip("onnx_ir")

INT8 = find_scheme("int8")


def quantized(model, activations, **settings):
    assignments = assign(find_layers(model), [], Rule("int8", settings=settings))
    quantize_model(model, assignments, activations)
    return assignments


def made(model, op_type):
    return [node for node in model.graph if node.op_type == op_type and node.metadata_props.get(SCHEME) == "int8"]


@pytest.fixture(scope="module")
def int8_unet(unet, unet_activations, tmp_path_factory):
    """(the graph with int8 throughout, its path, {layer: the value that it was given before}, assignments)"""
    model = ir.load(unet[0])
    before = {name: nodes[0].inputs[0].name for name, nodes in readers(model, find_layers(model)).items()}
    assignments = quantized(model, unet_activations)
    path = tmp_path_factory.mktemp("int8") / "unet.onnx"
    ir.save(model, path, external_data="unet.data")
    return ir.load(path), path, before, assignments


def test_a_convolution_a_matmul_and_a_gemm_are_given_rounded_values(small, small_activations):
    model = small.model()
    quantized(model, small_activations)
    for node in model.graph:
        if node.op_type in ("MatMul", "Gemm"):
            assert [given.producer().op_type for given in node.inputs[:2]] == ["DequantizeLinear"] * 2
            assert node.inputs[0].producer().inputs[0].producer().op_type == "QuantizeLinear"
        if node.op_type == "Conv":  # of 8 and 6 channels
            assert node.inputs[0].producer() is None or node.inputs[0].producer().op_type == "Conv"
            assert node.inputs[1].producer().op_type == "DequantizeLinear"


def test_layers_that_share_a_value_share_one_pair(int8_unet):
    model, _, before, assignments = int8_unet
    layers = [given.layer.name for given in assignments if given.scheme == "int8"]
    values = {before[name] for name in layers}
    assert len(made(model, "QuantizeLinear")) == len(values) < len(layers)


def test_too_few_channels_and_shortcuts_are_refused_in_words(int8_unet):
    *_, assignments = int8_unet
    reasons = {given.layer.name: given.reason for given in assignments if given.scheme != "int8"}
    assert reasons["conv_in"].startswith("4 channels in and 16 out are too few to gain by 8 bits, so int8-weights")
    assert reasons["conv_out"].startswith("16 channels in and 4 out are too few")
    shortcuts = [name for name in reasons if name not in ("conv_in", "conv_out")]
    assert shortcuts
    assert all(name.endswith(".conv_shortcut") for name in shortcuts)
    assert {reasons[name] for name in shortcuts} == {
        "a shortcut's error reaches the output undiminished, so int8-weights"
    }


@pytest.mark.parametrize(
    "shape, name, taken",
    [
        ((16, 16), "to_q", True),
        ((16, 15), "to_q", False),
        ((15, 16), "to_q", False),
        ((64, 1, 3, 3), "depthwise", False),
        ((64, 64, 1, 1), "resnets.0.conv_shortcut", False),
        ((64, 64, 1, 1), "resnets.0.conv_shortcuts", True),
    ],
)
def test_sixteen_channels_are_enough(shape, name, taken):
    layer = Layer(name, "linear" if len(shape) == 2 else "conv", shape, "w")
    assert (INT8.refusal(layer, INT8.SETTINGS) is None) == taken


def test_factors_on_both_sides_cancel(int8_unet, unet, dequantized):
    model, _, before, assignments = int8_unet
    back, plain = dequantized(model), ir.load(unet[0])
    held = {name: value.const_value for name, value in plain.graph.initializers.items()}
    scaled = 0
    for given in assignments:
        factors = model.graph.initializers.get(f"{before[given.layer.name]}.int8.factors")
        if given.scheme != "int8" or factors is None:
            continue
        scaled += 1
        factors = factors.const_value.numpy()
        layer = given.layer
        assert factors.shape == ((1, layer.shape[1], 1, 1) if layer.kind == "conv" else (layer.shape[1],))
        ours = back[layer.name].T if layer.turned else back[layer.name]
        weight = held[layer.weight].numpy().astype(np.float32)
        weight = weight.T if layer.turned else weight
        sides = (1, -1, *(1,) * (weight.ndim - 2))
        # Half a step of the output's weights, as they were divided; the rest is float32.
        steps = np.abs(weight / factors.reshape(sides)).reshape(len(weight), -1).max(1) / 127
        off = np.abs(ours - weight / factors.reshape(sides)).reshape(len(weight), -1)
        assert (off <= 0.501 * steps[:, None]).all()
    assert scaled > 10


def test_no_factors_stand_behind_a_transposition(int8_unet):
    model, _, before, _ = int8_unet
    turned = [node.outputs[0].name for node in model.graph if node.op_type == "Transpose"]
    read = [name for name in turned if name in set(before.values())]
    assert read
    assert not any(f"{name}.int8.factors" in model.graph.initializers for name in read)
    assert made(model, "Mul")


def test_both_engines_are_as_near_to_the_floats_as_each_other(int8_unet, unet, run_ort, run_openvino):
    # OpenVINO with factors behind a transposition: 0.13 in place of 0.024.
    _, path, _, _ = int8_unet
    (exact,) = run_ort(unet[0], unet[2])
    lost = [
        np.sqrt(np.mean((run(path, unet[2])[0] - exact) ** 2) / np.mean(exact**2)) for run in (run_ort, run_openvino)
    ]
    assert lost[1] == pytest.approx(lost[0], rel=0.2)
    assert max(lost) < 0.04


@pytest.mark.parametrize("symmetric, kind", [(True, np.int8), (False, np.uint8)])
def test_the_graph_has_the_range_that_was_found(symmetric, kind, small, small_activations):
    model = small.model()
    value = small_activations.value("block.0.up")
    quantized(model, small_activations, symmetric=symmetric, balance=False)
    expected = find_range(
        small_activations.of("block.0.up"), small.weights["up"].T, Wishes(symmetric=symmetric, balance=False)
    )
    scale = model.graph.initializers[f"{value}.int8.scale"].const_value.numpy()
    zero = model.graph.initializers[f"{value}.int8.zero_point"].const_value.numpy()
    assert (scale.dtype, scale.shape, scale.item()) == (np.float32, (), expected.scale)
    assert (zero.dtype, zero.item()) == (kind, expected.zero_point or 0)


def test_a_loud_channels_factor_reaches_the_weights_of_all_that_read_it(small, small_activations, monkeypatch):
    from aquatint.quantize.activations import Activations

    original = Activations.of

    def louder(self, name):
        found = original(self, name)
        factors = np.ones(found.low.shape[1], np.float32)
        factors[3] = 50
        return Activation(found.times(factors).rows, found.low * factors, found.high * factors)

    monkeypatch.setattr(Activations, "of", louder)
    model = small.model()
    quantized(model, small_activations)
    factors = model.graph.initializers[f"{small_activations.value('down')}.int8.factors"].const_value.numpy()
    assert factors[3] < 0.4 * np.median(factors)


def test_the_same_graph_comes_out_again(small, small_activations):
    first, second = small.model(), small.model()
    for model in (first, second):
        quantized(model, small_activations)
    assert ir.to_proto(first).SerializeToString() == ir.to_proto(second).SerializeToString()


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"method": "entropy"}, "int8 has method error, percentile, extremes, not 'entropy'"),
        ({"symmetric": 1}, "int8's symmetric is true or false, not 1"),
        ({"balance": "no"}, "int8's balance is true or false, not 'no'"),
        ({"percentile": 50}, "int8's percentile is from 90 to 100, not 50"),
        ({"percentile": True}, "int8's percentile is from 90 to 100, not True"),
        ({"percentile": "99"}, "int8's percentile is from 90 to 100, not '99'"),
    ],
)
def test_settings_that_can_not_be_are_refused(settings, said):
    with pytest.raises(BadProfile, match=said):
        Rule("int8", settings=settings)
