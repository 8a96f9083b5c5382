"""int4 in ONNX Runtime: the layout that MatMulNBits computes from."""

import numpy as np
import pytest

from aquatint.quantize.assign import Rule
from aquatint.targets.lowering.matmul_nbits import OPERATOR, lower_int4

ir = pytest.importorskip("onnx_ir")

PLAIN = {"feedback": False}  # there is no calibration here


def operators(model):
    return [node for node in model.graph if node.op_type == OPERATOR]


def test_layers_of_every_writing_are_lowered_and_a_second_pass_changes_nothing(quantized):
    model = quantized("int4", PLAIN)
    assert lower_int4(model) == 6  # not the one of 100 inputs, which has 8 bits
    assert [node.attributes["K"].value for node in operators(model)] == [128, 192, 64, 96, 64, 64]
    assert sum(node.op_type == "DequantizeLinear" for node in model.graph) == 1
    assert lower_int4(model) == 0


@pytest.mark.parametrize("symmetric", [True, False])
def test_the_stored_codes_stand_for_the_same_weights(symmetric, quantized, weights):
    """Against rows of 4-bit codes, low half first, less 8 or the zero point, times the scale of their group."""
    settings = {**PLAIN, "group_size": 32, "symmetric": symmetric}
    model = quantized("int4", settings)
    lower_int4(model)
    down = next(node for node in operators(model) if node.attributes["K"].value == 96)
    codes, scales, *zeros = (value.const_value.numpy() for value in down.inputs[1:])
    assert codes.shape == (64, 3, 16)
    unpacked = np.stack([codes & 15, codes >> 4], -1).reshape(64, 3, 32).astype(np.float32)
    offsets = np.full((64, 3), 8)
    if not symmetric:
        assert zeros[0].shape == (64, 2)  # three to a row, and a half byte of padding
        offsets = np.stack([zeros[0] & 15, zeros[0] >> 4], -1).reshape(64, 4)[:, :3]
    back = (unpacked - offsets[..., None]) * scales[..., None]
    error = back.reshape(64, 96) - weights["down.weight"]
    # No weight is further from its code than 4 bits put it: a clipped one by less than two steps.
    assert (np.abs(error).reshape(64, 3, 32) <= 2 * scales[..., None]).all()
    assert np.linalg.norm(error) < 0.1 * np.linalg.norm(weights["down.weight"])


def test_activations_stay_floats(quantized):
    model = quantized("int4", PLAIN)
    lower_int4(model)
    assert {node.attributes["accuracy_level"].value for node in operators(model)} == {1}


def test_8_bits_stay_with_the_engine(quantized):
    assert lower_int4(quantized("int8-weights")) == 0


def test_unsigned_codes_without_zero_points_stay_plain(quantized):
    """Left out, they are 0 in ONNX and 8 in the operator."""
    model = quantized("none", rules=[Rule("int4", "up", settings={**PLAIN, "symmetric": False})])
    node = next(node for node in model.graph if node.op_type == "DequantizeLinear")
    node.resize_inputs(2)
    assert lower_int4(model) == 0
