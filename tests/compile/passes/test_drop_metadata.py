"""What the exporter wrote about its sources, removed."""

import pytest

from aquatint.compile.passes.drop_metadata import drop_metadata

ir = pytest.importorskip("onnx_ir")


@pytest.fixture
def model():
    """Relu(Relu(x)), with a word about each part."""
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape((2,)))
    first, second = ir.node("Relu", [x]), None
    second = ir.node("Relu", first.outputs)
    graph = ir.Graph([x], second.outputs, nodes=[first, second], opset_imports={"": 23}, name="g")
    made = ir.Model(graph, ir_version=10)
    for part in (made, graph, first, first.outputs[0], x):
        part.metadata_props["pkg.torch.onnx.stack_trace"] = "File /home/someone/model.py"
        part.doc_string = "/home/someone"
    return made


def test_every_word_about_sources_goes_and_a_second_pass_changes_nothing(model, tmp_path):
    assert drop_metadata(model) == 5
    assert drop_metadata(model) == 0
    ir.save(model, tmp_path / "model.onnx")
    assert b"someone" not in (tmp_path / "model.onnx").read_bytes()


def test_the_graph_stays_what_it_was(model):
    drop_metadata(model)
    assert [node.op_type for node in model.graph] == ["Relu", "Relu"]
    assert [value.name for value in model.graph.inputs] == ["x"]
