"""Blocks of nodes: what the checkpoint's own weights say, and the rules on small graphs."""

import re

import numpy as np
import pytest

from aquatint.bench.profiling.blocks import blocks_of, common, path_of
from aquatint.bench.profiling.graph import Node, read_graph
from aquatint.runtime.errors import BundleCorrupt
from aquatint.runtime.manifest import read_manifest


def expected_path(module):
    """torch's name of a module; to_q and its like have no bias, so that only their block is known."""
    words = re.sub(r"\.(\d+)", r"#\1", module).split(".")
    path = tuple(word.replace("#", ".") for word in words)
    return path[:-1] if path[-1] in ("to_q", "to_k", "to_v") else path


def test_every_product_belongs_to_the_module_whose_weight_it_holds(workshop):
    import onnx
    from safetensors.numpy import load_file

    folder = workshop.bundle("tiny-sd", "ort:cpu")
    artifact = folder / read_manifest(folder).component("unet").artifact
    model = onnx.load(artifact).graph
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.initializer}
    modules = {}
    for file in (workshop.checkpoint("tiny-sd") / "unet").glob("*.safetensors"):
        for name, array in load_file(file).items():
            if array.ndim > 1:
                modules[np.sort(array.ravel()).tobytes()] = name.removesuffix(".weight")
    blocks, weighted = blocks_of(read_graph(artifact))
    checked = 0
    for node in model.node:
        for name in node.input:
            if node.op_type in ("Conv", "MatMul", "Gemm") and name in stored and stored[name].ndim > 1:
                module = modules[np.sort(stored[name].astype(np.float32).ravel()).tobytes()]
                assert blocks[node.name] == expected_path(module), module
                assert node.name in weighted
                checked += 1
    assert checked == len(modules)


@pytest.mark.parametrize("target", ["ort:cpu", "openvino:cpu"])
def test_attention_lies_in_its_block(target, workshop):
    folder = workshop.bundle("tiny-sd", target)
    nodes = read_graph(folder / read_manifest(folder).component("unet").artifact)
    blocks, _ = blocks_of(nodes)
    kinds = ("Attention", "ScaledDotProductAttention")
    found = [blocks[node.name] for node in nodes if node.kind in kinds]
    assert found
    assert {block[-1] for block in found} == {"attn1", "attn2"}
    assert len(set(found)) == len(found)


def test_numbers_stay_with_the_name_before_them():
    assert path_of("mid_block.attentions.0.ff.net.2") == ("mid_block", "attentions.0", "ff", "net.2")
    assert common([("up", "a", "x"), ("up", "a", "y"), ("up", "a")]) == ("up", "a")


def test_what_lies_between_two_layers_belongs_to_the_block_of_both():
    nodes = chain(("Conv", "resnets.0.norm1.weight"), ("Sigmoid", None), ("Conv", "resnets.0.conv1.weight_fp16"))
    assert blocks_of(nodes)[0]["n1"] == ("resnets.0",)


def test_a_product_with_a_nameless_weight_takes_the_layer_of_its_bias():
    nodes = chain(("MatMul", "val_7"), ("Add", "network.ff.net.2.bias"))
    assert blocks_of(nodes)[0]["n0"] == ("ff", "net.2")


def test_one_without_bias_takes_the_block_around_what_it_leads_to():
    nodes = chain(
        ("MatMul", "norm1.weight"), ("MatMul", "val_7"), ("Softmax", None), ("MatMul", "attn1.to_out.0.codes")
    )
    assert blocks_of(nodes)[0] == {
        "x": (), "n0": ("norm1",), "n1": ("attn1",), "n2": ("attn1",), "n3": ("attn1", "to_out.0"),
    }  # fmt: skip


def test_a_weight_that_was_taken_apart_is_still_its_layers():
    nodes = [
        Node("a.b.codes", "Constant"),
        Node("a.b.scales.rows", "Constant"),
        Node("wide", "Cast", ("a.b.codes",)),
        Node("whole", "Mul", ("wide", "a.b.scales.rows")),
        Node("x", "Parameter"),
        Node("product", "MatMul", ("x", "whole")),
    ]
    assert blocks_of(nodes)[0]["product"] == ("a", "b")


def test_a_parameter_that_two_nodes_read_names_neither():
    nodes = [
        Node("up.norm.weight", "Constant"),
        Node("x", "Parameter"),
        Node("one", "Mul", ("x", "up.norm.weight")),
        Node("two", "Mul", ("one", "up.norm.weight")),
    ]
    assert blocks_of(nodes)[0] == {"x": (), "one": (), "two": ()}


def test_tensors_named_by_other_things_name_no_layer():
    nodes = chain(("Mul", "layer_norm.int8.factors"), ("Mul", "cat_1.int8.scale"), ("Conv", "conv_out.weight"))
    assert blocks_of(nodes)[0]["n0"] == blocks_of(nodes)[0]["n1"] == ()


def test_other_files_are_refused(tmp_path):
    with pytest.raises(BundleCorrupt, match=r"model.plan.*only of .onnx and .xml"):
        read_graph(tmp_path / "model.plan")


def chain(*parts):
    """Nodes n0, n1 ... each over the one before it and a constant."""
    nodes, last = [Node("x", "Parameter")], "x"
    for i, (kind, constant) in enumerate(parts):
        inputs = (last,) if constant is None else (last, constant)
        nodes += [] if constant is None else [Node(constant, "Constant")]
        nodes.append(Node(f"n{i}", kind, inputs))
        last = f"n{i}"
    return nodes
