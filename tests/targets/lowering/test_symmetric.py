"""Which quantized layers TensorRT can read."""

import ml_dtypes
import numpy as np
import pytest

from aquatint.targets.lowering.symmetric import drop_zero_points, symmetric_problem

ir = pytest.importorskip("onnx_ir")

FEEDS = {"x": np.linspace(-3, 3, 8, dtype=np.float32).reshape(2, 4)}


def pair(sketch, zero_point, scale=0.1):
    """x -> DequantizeLinear(QuantizeLinear(x)), without a zero point where it is None."""
    zeros = [] if zero_point is None else [sketch.constant("zero", np.array(zero_point))]
    grid = [sketch.constant("scale", np.array(scale, np.float32)), *zeros]
    codes = sketch.add("QuantizeLinear", sketch.input("x", 2, 4), *grid, kind=None)
    codes.producer().name = "layer.codes"
    sketch.output("y", sketch.add("DequantizeLinear", codes, *grid), 2, 4)
    return sketch.model()


@pytest.mark.parametrize("zero", [np.int8(0), np.zeros((), ml_dtypes.float8_e4m3fn)], ids=["int8", "fp8"])
def test_signed_codes_around_zero_are_fine(zero, sketch):
    assert symmetric_problem(pair(sketch, zero)) is None


@pytest.mark.parametrize(
    "zero, scale, words",
    [
        (np.int8(3), 0.1, "no zero point but 0"),
        (np.uint8(0), 0.1, "not UINT8"),
        (None, 0.1, "not UINT8"),  # what ONNX takes where nothing is said
        (np.int8(0), -0.1, "scales that are constant and positive"),
    ],
)
def test_other_forms_are_named_with_their_layer(zero, scale, words, sketch):
    found = symmetric_problem(pair(sketch, zero, scale))
    assert found is not None
    assert words in found
    assert found.startswith("layer.codes: ")


@pytest.mark.parametrize("scheme", ["int8-weights", "int4"])
def test_our_symmetric_schemes_are_fine(scheme, quantized):
    assert symmetric_problem(quantized(scheme, {"feedback": False} if scheme == "int4" else {})) is None


def test_our_asymmetric_int4_is_not(quantized):
    found = symmetric_problem(quantized("int4", {"feedback": False, "symmetric": False}))
    assert found is not None
    assert "not UINT4" in found


def test_an_odd_row_of_4_bit_weights_is_named(sketch):
    codes = sketch.constant("codes", np.zeros((32, 3), ml_dtypes.int4))
    scales = sketch.constant("scales", np.ones((1, 3), np.float32))
    sketch.output("y", sketch.add("DequantizeLinear", codes, scales, axis=0, block_size=32), 32, 3)
    found = symmetric_problem(sketch.model())
    assert found is not None
    assert "even number of 4-bit weights in a row, not 3" in found


@pytest.mark.parametrize("zero, count", [(0, 1), (3, 0)])
def test_a_zero_point_of_0_leaves_what_widens(zero, count, sketch, evaluate, check_types):
    model = pair(sketch, np.int8(zero))
    (wanted,) = evaluate(model, FEEDS)
    assert drop_zero_points(model) == count
    check_types(model)
    assert [len(node.inputs) for node in model.graph] == [3, 3 - count]  # what narrows has its type from it
    np.testing.assert_array_equal(evaluate(model, FEEDS)[0], wanted)
    assert drop_zero_points(model) == 0
