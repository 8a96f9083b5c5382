"""8-bit weights in ONNX Runtime: the layout that MatMulNBits computes from."""

import numpy as np
import pytest

from aquatint.quantize.assign import Rule
from aquatint.targets.lowering.matmul_8bits import lower_int8
from aquatint.targets.lowering.matmul_nbits import OPERATOR
from aquatint.targets.lowering.typed import type_graph

ir = pytest.importorskip("onnx_ir")


def operators(model):
    return [node for node in model.graph if node.op_type == OPERATOR]


def stored(node):
    return [value.const_value.numpy() for value in node.inputs[1:]]


def linear(sketch, inputs, outputs=8, axis=1, zeros=None, scales=None):
    """MatMul(x, DequantizeLinear(codes of every value)), turned where the axis is 0."""
    codes = np.resize(np.arange(-128, 128), (inputs, outputs)).astype(np.int8)
    scales = np.linspace(0.001, 0.02, outputs, dtype=np.float32) if scales is None else scales
    given = [sketch.constant("codes", codes if axis == 1 else codes.T.copy()), sketch.constant("scales", scales)]
    if zeros is not None:
        given.append(sketch.constant("zeros", zeros))
    weight = sketch.add("DequantizeLinear", *given, axis=axis)
    if axis == 0:
        weight = sketch.add("Transpose", weight, perm=[1, 0])
    sketch.output("y", sketch.add("MatMul", sketch.input("x", "rows", inputs), weight), "rows", outputs)
    return sketch.model(), codes.astype(np.float32) * scales


def test_layers_of_every_writing_are_lowered_and_a_second_pass_changes_nothing(quantized):
    model = quantized("int8-weights")
    assert lower_int8(model) == 6  # not the one of 100 inputs, which no block divides
    assert [node.attributes["K"].value for node in operators(model)] == [128, 192, 64, 96, 64, 64]
    assert [node.attributes["block_size"].value for node in operators(model)] == [128, 64, 64, 32, 64, 64]
    assert {node.attributes["accuracy_level"].value for node in operators(model)} == {1}  # activations stay floats
    assert sum(node.op_type == "DequantizeLinear" for node in model.graph) == 1
    assert lower_int8(model) == 0


def test_the_stored_codes_stand_for_the_same_weights(quantized, weights):
    """Against rows of codes less 128, times the scale of their block."""
    model = quantized("int8-weights")
    lower_int8(model)
    down = next(node for node in operators(model) if node.attributes["K"].value == 96)
    codes, scales = stored(down)
    assert codes.shape == (64, 3, 32)
    assert (scales == scales[:, :1]).all()
    back = ((codes.astype(np.float32) - 128) * scales[..., None]).reshape(64, 96)
    assert (np.abs(back - weights["down.weight"]) <= 0.501 * scales[:, :1]).all()


def test_one_weight_of_two_layers_is_stored_once(quantized):
    model = quantized("int8-weights")
    lower_int8(model)
    first, second = operators(model)[-2:]
    assert first.inputs[1] is second.inputs[1]


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("inputs", [16, 48, 64, 96, 128, 256, 320])
def test_the_operator_gives_the_product_for_every_block(inputs, axis, sketch, evaluate):
    model, weight = linear(sketch, inputs, axis=axis)
    assert lower_int8(model) == 1
    x = np.random.default_rng(inputs).standard_normal((3, inputs)).astype(np.float32)
    # Two ways to sum up the same float32 products.
    np.testing.assert_allclose(evaluate(model, {"x": x})[0], x @ weight, rtol=1e-5, atol=1e-5)


def test_in_float16_the_operator_gives_the_product_too(sketch, evaluate, check_types):
    model, weight = linear(sketch, 64)
    lower_int8(model)
    assert type_graph(model, "fp16") == 1
    (node,) = operators(model)
    assert [given.dtype.name for given in node.inputs] == ["FLOAT16", "UINT8", "FLOAT16"]
    x = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    (got,) = evaluate(model, {"x": x})
    # Inputs, scales and results of 11 bits.
    assert np.linalg.norm(got - x @ weight) < 1e-3 * np.linalg.norm(x @ weight)


def test_inputs_that_no_block_divides_leave_the_layer_plain(sketch):
    model, _ = linear(sketch, 40)
    assert lower_int8(model) == 0


@pytest.mark.parametrize("value, lowered", [(0, 1), (3, 0)])
def test_only_zero_points_of_0_are_lowered(value, lowered, sketch):
    model, _ = linear(sketch, 64, zeros=np.full(8, value, np.int8))
    assert lower_int8(model) == lowered


def test_scales_of_inputs_stay_plain(sketch):
    """The operator has a scale for a block of an output's inputs, not for an input of all outputs."""
    model, _ = linear(sketch, 64, outputs=64)
    next(node for node in model.graph if node.op_type == "DequantizeLinear").attributes["axis"] = ir.AttrInt64(
        "axis", 0
    )
    assert lower_int8(model) == 0


def test_layers_that_compute_in_integers_stay_as_they_are(sketch):
    model, _ = linear(sketch, 64)
    product = next(node for node in model.graph if node.op_type == "MatMul")
    grid = [sketch.constant("grid", np.array(0.1, np.float32)), sketch.constant("zero", np.array(0, np.int8))]
    for value in grid:
        model.graph.register_initializer(value)
    rounded = ir.node("QuantizeLinear", [product.inputs[0], *grid])
    widened = ir.node("DequantizeLinear", [rounded.outputs[0], *grid])
    model.graph.insert_before(product, [rounded, widened])
    product.replace_input_with(0, widened.outputs[0])
    assert lower_int8(model) == 0


def test_4_bits_are_left_to_their_own_lowering(quantized):
    model = quantized("none", rules=[Rule("int4", "up", settings={"feedback": False})])
    assert lower_int8(model) == 0
