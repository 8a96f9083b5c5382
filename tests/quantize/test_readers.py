"""Which nodes compute with a layer's weight."""

import pytest

from aquatint.quantize.layers import find_layers
from aquatint.quantize.readers import readers

ir = pytest.importorskip("onnx_ir")


def test_every_kind_of_layer_has_its_one_node(small):
    model = small.model()
    found = readers(model, find_layers(model))
    assert {name: [node.op_type for node in nodes] for name, nodes in found.items()} == {
        "block.0.up": ["MatMul"],
        "down": ["Gemm"],
        "grouped": ["Conv"],
        "pointwise": ["Conv"],
    }


def test_a_weight_is_found_behind_a_widening_and_a_turn(small):
    from aquatint.compile.passes.store_weights import store_weights

    model = small.model()
    store_weights(model, "fp16", lossless=False)
    (up,) = readers(model, find_layers(model))["block.0.up"]
    assert up.op_type == "MatMul"

    weight = model.graph.initializers["network.down.weight_fp16"]
    (gemm,) = readers(model, find_layers(model))["down"]
    turn = ir.node("Transpose", [gemm.inputs[1]], attributes={"perm": [1, 0]})
    gemm.replace_input_with(1, turn.outputs[0])
    model.graph.insert_before(gemm, [turn])
    assert weight.uses()
    assert readers(model, [layer for layer in find_layers(model) if layer.name == "down"]) == {"down": [gemm]}


def test_a_layer_that_is_called_twice_has_both_nodes(small):
    model = small.model()
    (up,) = readers(model, find_layers(model))["block.0.up"]
    other = ir.Value(name="other", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([3, 128]))
    model.graph.inputs.append(other)
    again = ir.node("MatMul", [other, up.inputs[1]])
    model.graph.append(again)
    assert readers(model, find_layers(model))["block.0.up"] == [up, again]


def test_layers_are_asked_for_by_the_list_that_is_given(small):
    model = small.model()
    layers = find_layers(model)
    assert list(readers(model, layers[1:3])) == ["down", "grouped"]
