"""Layers found in graphs: which, in what order, by which name and of what shape."""

import numpy as np
import pytest

from aquatint.quantize.layers import Layer, find_layers
from aquatint.runtime.errors import BadModel

ir = pytest.importorskip("onnx_ir")


def value(array, name):
    tensor = ir.Tensor(array, name=name)
    return ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)


def graph(nodes, constants):
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["n", 4]))
    made = nodes(x)
    outputs = [output for node in made for output in node.outputs if not output.uses()]
    return ir.Model(ir.Graph([x], outputs, nodes=made, initializers=constants, opset_imports={"": 23}), ir_version=10)


def floats(*shape):
    return np.ones(shape, np.float32)


def test_a_unets_layers_are_torchs_own_by_name_kind_and_shape(unet):
    torch = pytest.importorskip("torch")
    path, module, _ = unet
    kinds = {torch.nn.Linear: "linear", torch.nn.Conv2d: "conv"}
    theirs = {
        name: (kinds[type(part)], tuple(part.weight.shape))
        for name, part in module.named_modules()
        if type(part) in kinds
    }
    model = ir.load(path)
    found = find_layers(model)
    assert {layer.name: (layer.kind, layer.shape) for layer in found} == theirs
    assert len(found) == len(theirs)
    for layer in found:
        stored = model.graph.initializers[layer.weight].const_value.numpy()
        expected = module.get_submodule(layer.name).weight.detach().numpy()
        assert np.array_equal(stored.T if layer.turned else stored, expected)


def test_layers_come_in_the_graphs_order(unet):
    names = [layer.name for layer in find_layers(ir.load(unet[0]))]
    assert names[0] == "time_embedding.linear_1"
    assert names.index("conv_in") < names.index("mid_block.resnets.0.conv1") < names.index("conv_out")


def test_a_small_graph_has_four_layers_and_an_embedding_is_none(small):
    assert find_layers(small.model()) == [
        Layer("block.0.up", "linear", (192, 128), "up", turned=True),
        Layer("down", "linear", (64, 192), "network.down.weight"),
        Layer("grouped", "conv", (16, 2, 3, 3), "network.grouped.weight"),
        Layer("pointwise", "conv", (6, 16, 1, 1), "network.pointwise.weight"),
    ]
    assert [layer.parameters for layer in find_layers(small.model())] == [192 * 128, 64 * 192, 288, 96]


def test_a_weight_that_an_embedding_shares_is_no_layer():
    table = value(floats(4, 4), "table.weight")

    def nodes(x):
        index = value(np.array([1]), "index")
        return [ir.node("MatMul", [x, table]), ir.node("Gather", [table, index])]

    assert find_layers(graph(nodes, [table])) == []


def test_a_weight_read_as_both_in_out_and_out_in_is_no_layer():
    weight = value(floats(4, 4), "tied.weight")

    def nodes(x):
        turned = ir.node("Transpose", [weight], attributes={"perm": [1, 0]})
        return [ir.node("MatMul", [x, weight]), turned, ir.node("MatMul", [x, turned.outputs[0]])]

    assert find_layers(graph(nodes, [weight])) == []


def test_a_weight_of_two_readers_that_agree_is_one_layer():
    weight = value(floats(4, 6), "shared.weight")

    def nodes(x):
        return [ir.node("MatMul", [x, weight]), ir.node("MatMul", [x, weight])]

    assert find_layers(graph(nodes, [weight])) == [Layer("shared", "linear", (6, 4), "shared.weight", turned=True)]


@pytest.mark.parametrize("flag, turned", [(0, True), (1, False)])
def test_gemm_says_how_its_weight_lies(flag, turned):
    weight = value(floats(4, 4), "w.weight")

    def nodes(x):
        return [ir.node("Gemm", [x, weight], attributes={"transB": flag})]

    assert [layer.turned for layer in find_layers(graph(nodes, [weight]))] == [turned]


def test_a_transpose_between_turns_it():
    weight = value(floats(6, 4), "w.weight")

    def nodes(x):
        turned = ir.node("Transpose", [weight], attributes={"perm": [1, 0]})
        return [turned, ir.node("MatMul", [x, turned.outputs[0]])]

    assert find_layers(graph(nodes, [weight])) == [Layer("w", "linear", (6, 4), "w.weight")]


def test_products_of_two_tensors_and_constants_on_the_left_are_no_layers():
    weight = value(floats(4, 4), "w.weight")

    def nodes(x):
        turned = ir.node("Transpose", [x])
        return [turned, ir.node("MatMul", [x, turned.outputs[0]]), ir.node("MatMul", [weight, turned.outputs[0]])]

    assert find_layers(graph(nodes, [weight])) == []


def test_a_graph_of_torchs_old_exporter_names_layers_by_their_nodes():
    weight, other = value(floats(4, 4), "onnx::MatMul_7"), value(floats(4, 4), "onnx::MatMul_8")

    def nodes(x):
        first = ir.node("MatMul", [x, weight], name="/down_blocks.0/attentions.0/attn1/to_q/MatMul")
        return [first, ir.node("MatMul", [first.outputs[0], other], name="odd")]

    assert [layer.name for layer in find_layers(graph(nodes, [weight, other]))] == [
        "down_blocks.0.attentions.0.attn1.to_q", "onnx::MatMul_8",
    ]  # fmt: skip


@pytest.mark.parametrize("root", ["", "network.", "text_model.", "network.text_model."])
def test_a_layer_has_one_name_whatever_its_network_was_put_under(root):
    weight, other = value(floats(4, 4), f"{root}text_projection.weight"), value(floats(4, 4), "val_7")
    scopes = {"pkg.torch.onnx.name_scopes": str(["", f"{root}encoder.layers.0.mlp.fc1", "linear"])}

    def nodes(x):
        first = ir.node("MatMul", [x, weight])
        return [first, ir.node("MatMul", [first.outputs[0], other], metadata_props=scopes)]

    assert [layer.name for layer in find_layers(graph(nodes, [weight, other]))] == [
        "text_projection", "encoder.layers.0.mlp.fc1",
    ]  # fmt: skip


def test_two_weights_of_one_name_are_told_apart():
    weights = [value(floats(4, 4), f"onnx::MatMul_{index}") for index in range(2)]

    def nodes(x):
        return [ir.node("MatMul", [x, weight], name="/to_q/MatMul") for weight in weights]

    assert [layer.name for layer in find_layers(graph(nodes, weights))] == ["to_q", "to_q#2"]


def test_a_graph_that_computes_in_16_bits_is_refused():
    weight = value(floats(4, 4).astype(np.float16), "w.weight")

    def nodes(x):
        return [ir.node("MatMul", [x, weight])]

    with pytest.raises(BadModel, match="w computes in FLOAT16"):
        find_layers(graph(nodes, [weight]))


def test_a_weight_that_a_caller_may_replace_is_no_layer():
    weight = value(floats(4, 4), "w.weight")

    def nodes(x):
        return [ir.node("MatMul", [x, weight])]

    model = graph(nodes, [weight])
    model.graph.inputs.append(weight)
    assert find_layers(model) == []
