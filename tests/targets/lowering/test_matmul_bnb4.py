"""NF4 in ONNX Runtime: bitsandbytes' own bytes."""

import numpy as np
import pytest

from aquatint.quantize.assign import Rule
from aquatint.targets.lowering.matmul_bnb4 import LEVELS, OPERATOR, lower_nf4

ir = pytest.importorskip("onnx_ir")


def operators(model):
    return [node for node in model.graph if node.op_type == OPERATOR]


def test_codes_and_absmax_are_bitsandbytes_own_bytes(quantized, weights):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("bitsandbytes.functional")
    model = quantized("nf4")
    assert lower_nf4(model) == 7
    for node, name in zip(operators(model), [*weights, "again.weight"], strict=True):
        codes, state = functional.quantize_4bit(torch.from_numpy(weights[name]), blocksize=64, quant_type="nf4")
        assert node.inputs[1].const_value.tobytes() == codes.numpy().tobytes()
        assert node.inputs[2].const_value.tobytes() == state.absmax.numpy().tobytes()
        assert (node.attributes["N"].value, node.attributes["K"].value) == weights[name].shape


def test_nothing_of_the_plain_form_is_left_and_a_second_pass_changes_nothing(quantized):
    model = quantized("nf4")
    lower_nf4(model)
    assert {node.op_type for node in model.graph} == {OPERATOR, "Add", "Relu", "Reshape"}
    assert not any(name.endswith(("levels", ".codes", ".absmax")) for name in model.graph.initializers)
    assert lower_nf4(model) == 0


def test_one_weight_of_two_layers_is_stored_once(quantized):
    model = quantized("nf4")
    lower_nf4(model)
    first, second = operators(model)[-2:]
    assert first.inputs[1] is second.inputs[1]


def scale_the_levels(model):
    table = next(value for name, value in model.graph.initializers.items() if name.endswith("levels"))
    table.const_value = ir.Tensor(LEVELS * np.float32(0.99), name=table.name)


def show_the_weight(model):
    model.graph.outputs.append(weight(model))


def read_the_weight_elsewhere(model):
    model.graph.append(ir.node("Neg", [weight(model)]))


@pytest.mark.parametrize("change", [scale_the_levels, show_the_weight, read_the_weight_elsewhere])
def test_what_the_operator_can_not_say_stays_plain(change, quantized):
    model = quantized("none", rules=[Rule("nf4", "up")])
    change(model)
    assert lower_nf4(model) == 0


@pytest.mark.parametrize("attribute", [("alpha", 0.5), ("beta", 2.0), ("transA", 1), ("transB", 0)])
def test_a_gemm_with_factors_stays_plain(attribute, quantized):
    model = quantized("none", rules=[Rule("nf4", "down")])
    gemm = next(node for node in model.graph if node.op_type == "Gemm")
    gemm.attributes.add(ir.convenience.convert_attribute(*attribute))
    assert lower_nf4(model) == 0


def weight(model):
    """What the first MatMul multiplies by."""
    return next(node for node in model.graph if node.op_type == "MatMul").inputs[1]
