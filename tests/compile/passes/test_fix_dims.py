"""Dimensions of one possible value, made static."""

import pytest

from aquatint.compile.passes.fix_dims import fix_dims
from aquatint.runtime.shapes import ShapeRange, Shapes

np = pytest.importorskip("numpy")
ir = pytest.importorskip("onnx_ir")
ort = pytest.importorskip("onnxruntime")

STATIC = {"batch": ShapeRange(2, 2, 2), "height": ShapeRange(64, 64, 64), "width": ShapeRange(64, 64, 64)}
RANGED = {"batch": ShapeRange(1, 2, 2), "height": ShapeRange(64, 64, 64), "width": ShapeRange(64, 128, 128)}


@pytest.fixture
def model():
    """y = x * x, (batch, 4, height/8, width/8)."""
    dims = ["batch", 4, "height/8", "width/8"]
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(dims))
    square = ir.node("Mul", [x, x])
    square.outputs[0].name = "y"
    square.outputs[0].type = x.type
    square.outputs[0].shape = ir.Shape(dims)
    return ir.Model(ir.Graph([x], square.outputs, nodes=[square], opset_imports={"": 23}), ir_version=10)


def dims(model):
    values = (*model.graph.inputs, *model.graph.outputs)
    return [[dim if isinstance(dim, int) else dim.value for dim in value.shape] for value in values]


def run(model, x):
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0]


def test_words_of_one_value_become_numbers_and_are_counted(model):
    assert fix_dims(model, STATIC) == 6
    assert dims(model) == [[2, 4, 8, 8], [2, 4, 8, 8]]


def test_words_of_several_values_stay(model):
    assert fix_dims(model, RANGED) == 2
    assert dims(model) == [["batch", 4, 8, "width/8"]] * 2


@pytest.mark.parametrize("chunks, tokens", [(1, 77), (2, "tokens")])
def test_the_tokens_of_a_prompt_are_fixed_where_it_has_one_chunk(model, chunks, tokens):
    model.graph.inputs[0].shape = ir.Shape(["batch", "tokens", 32, 8])
    fix_dims(model, Shapes(((64, 64),), prompt_chunks=chunks).extents((2,)))
    assert dims(model)[0] == [2, tokens, 32, 8]


@pytest.mark.parametrize("words", [STATIC, RANGED])
def test_a_second_time_changes_nothing(model, words):
    fix_dims(model, words)
    before = dims(model)
    assert fix_dims(model, words) == 0
    assert dims(model) == before


def test_a_dimension_without_a_name_stays(model):
    model.graph.inputs[0].shape = ir.Shape([None, 4, "height/8", 8])
    fix_dims(model, STATIC)
    assert dims(model)[0] == [None, 4, 8, 8]


def test_a_value_without_a_shape_stays(model):
    model.graph.outputs[0].shape = None
    assert fix_dims(model, STATIC) == 3
    assert model.graph.outputs[0].shape is None


def test_the_result_stays_and_another_shape_is_refused(model):
    x = np.random.default_rng(0).standard_normal((2, 4, 8, 8)).astype(np.float32)
    before = run(model, x)
    fix_dims(model, STATIC)
    assert np.array_equal(run(model, x), before)
    with pytest.raises(Exception, match=r"(?i)dimension"):
        run(model, x[:1])
