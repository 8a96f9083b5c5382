"""Nodes of an engine's own graph, put into the blocks of the artifact's."""

import numpy as np
import pytest

from aquatint.bench.profiling.graph import Node, read_graph
from aquatint.bench.profiling.placement import Place, place
from aquatint.runtime.ort.times import Recorder
from aquatint.runtime.session import NodeTime

ARTIFACT = [
    Node("x", "Parameter"),
    Node("up.norm1.weight", "Constant"),
    Node("up.conv1.weight", "Constant"),
    Node("up.attn.to_q.weight", "Constant"),
    Node("up.attn.to_out.0.weight", "Constant"),
    Node("norm", "GroupNormalization", ("x", "up.norm1.weight"), ("norm_out",)),
    Node("silu", "Sigmoid", ("norm",)),
    Node("conv", "Conv", ("silu", "up.conv1.weight"), ("conv_out",)),
    Node("sum", "Add", ("conv", "x")),
    Node("q", "MatMul", ("sum", "up.attn.to_q.weight")),
    Node("sdpa", "Attention", ("q",)),
    Node("out", "MatMul", ("sdpa", "up.attn.to_out.0.weight")),
]


@pytest.fixture
def placed():
    """(name, layers, names of inputs), in the order in which they run -> places."""

    def find(*nodes):
        times = [NodeTime(name, "Any", None, layers, inputs, 1, 0.1) for name, layers, inputs in nodes]
        return place(times, ARTIFACT)

    return find


def test_a_fused_node_is_where_its_product_is(placed):
    assert placed(("conv", ("silu", "conv", "sum"), ())) == [Place(("up", "conv1"))]


def test_without_a_product_it_is_where_a_weight_is(placed):
    assert placed(("silu", ("norm", "silu"), ())) == [Place(("up", "norm1"))]


def test_a_node_may_be_known_by_its_output(placed):
    assert placed(("conv_nchwc", ("conv_nchwc", "conv_out"), ())) == [Place(("up", "conv1"))]


def test_a_change_of_layout_is_for_what_runs_on_it(placed):
    found = placed(("silu", ("norm", "silu"), ()), ("reorder", (), ("silu",)), ("conv", ("conv",), ("reorder",)))
    assert found[1] == Place(("up", "conv1"))


def test_at_the_end_it_is_for_what_ran_before(placed):
    assert placed(("conv", ("conv",), ()), ("reorder", (), ("conv",)))[1] == Place(("up", "conv1"))


def test_what_a_layer_was_taken_apart_into_is_that_layers(placed):
    found = placed(("mean", (), ()), ("scale", (), ("mean",)), ("silu", ("silu",), ("scale",)), ("c", ("conv",), ()))
    assert found[:2] == [Place(("up", "norm1"))] * 2


def test_parts_of_an_attention_are_known_as_such(placed):
    found = placed(
        ("q", ("q",), ()), ("softmax", (), ("q",)), ("second", ("sdpa",), ("softmax",)), ("out", ("out",), ("second",))
    )
    assert found == [
        Place(("up", "attn", "to_q")), Place(("up", "attn"), True), Place(("up", "attn"), True),
        Place(("up", "attn", "to_out.0")),
    ]  # fmt: skip


def test_what_leads_nowhere_is_the_networks_own(placed):
    assert placed(("alone", (), ())) == [Place(())]


def test_onnx_runtimes_parts_of_a_group_norm_are_that_norms(tmp_path):
    import onnx
    import onnxruntime

    shapes = {"c1.weight": (16, 16, 3, 3), "norm.weight": (16,), "norm.bias": (16,), "c2.weight": (16, 16, 3, 3)}
    constants = [
        onnx.numpy_helper.from_array(np.random.default_rng(0).random(shape, np.float32), f"network.up.0.{name}")
        for name, shape in shapes.items()
    ]
    c1, weight, bias, c2 = (tensor.name for tensor in constants)
    nodes = [
        onnx.helper.make_node("Conv", ["x", c1], ["a"], "first", pads=[1] * 4),
        onnx.helper.make_node("GroupNormalization", ["a", weight, bias], ["b"], "norm", num_groups=4),
        onnx.helper.make_node("Conv", ["b", c2], ["y"], "second", pads=[1] * 4),
    ]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 16, 8, 8]) for name in "xy"]
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], constants)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
    onnx.save(model, tmp_path / "model.onnx")
    recorder, settings = Recorder("unet"), onnxruntime.SessionOptions()
    recorder.begin(settings)
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"), settings)
    session.run(None, {"x": np.ones((1, 16, 8, 8), np.float32)})
    recorder.runs = 1
    times = recorder.times(session)
    found = {
        time.kind: found.block
        for time, found in zip(times, place(times, read_graph(tmp_path / "model.onnx")), strict=True)
    }
    assert found["ReduceMean"] == found["Sqrt"] == ("up.0", "norm")
    assert found["Conv"] == ("up.0", "c2")
    assert len(times) > 20  # it was taken apart
