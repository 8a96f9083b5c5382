"""Weights in fewer bits: the same numbers out, and fewer bytes."""

import numpy as np
import pytest

from aquatint.compile.passes.store_weights import SMALLEST, store_weights

ir = pytest.importorskip("onnx_ir")
ort = pytest.importorskip("onnxruntime")
ml_dtypes = pytest.importorskip("ml_dtypes")

KINDS = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16}
SHAPE = (16, 32)
rng = np.random.default_rng(0)
RANDOM = rng.standard_normal(SHAPE).astype(np.float32)
INPUT = rng.standard_normal((3, 16)).astype(np.float32)


def tensor(array, name):
    held = ir.Tensor(array, name=name)
    return ir.Value(name=name, type=ir.TensorType(held.dtype), shape=held.shape, const_value=held)


def matmul(weight):
    """y = x @ w, and z = (x @ w) @ w.T by the same w, so that one weight has two uses."""
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["rows", 16]))
    w = tensor(weight, "w")
    y = ir.node("MatMul", [x, w])
    turned = ir.node("Transpose", [w], attributes={"perm": [1, 0]})
    z = ir.node("MatMul", [y.outputs[0], turned.outputs[0]])
    for node, name in ((y, "y"), (z, "z")):
        node.outputs[0].name = name
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph([x], [y.outputs[0], z.outputs[0]], nodes=[y, turned, z], initializers=[w], opset_imports={"": 23})
    return ir.Model(graph, ir_version=10)


def run(model):
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["y", "z"], {"x": INPUT})


def stored(model):
    return {value.dtype.name for value in model.graph.initializers.values()}


@pytest.mark.parametrize("word, name", [("fp16", "FLOAT16"), ("bf16", "BFLOAT16")])
def test_the_result_is_that_of_the_rounded_weights(word, name):
    model = matmul(RANDOM)
    assert store_weights(model, word) == 1
    assert stored(model) == {name}
    expected = run(matmul(RANDOM.astype(KINDS[word]).astype(np.float32)))
    for ours, theirs in zip(run(model), expected, strict=True):
        assert np.array_equal(ours, theirs)


def test_a_weight_of_two_uses_is_widened_once():
    model = matmul(RANDOM)
    store_weights(model, "fp16")
    assert sum(node.op_type == "Cast" for node in model.graph) == 1


def test_the_weights_really_take_fewer_bytes():
    model = matmul(RANDOM)
    store_weights(model, "bf16")
    assert sum(value.const_value.nbytes for value in model.graph.initializers.values()) == RANDOM.nbytes // 2


@pytest.mark.parametrize("word", ["fp16", "bf16"])
def test_a_second_time_changes_nothing(word):
    model = matmul(RANDOM)
    store_weights(model, word)
    before = [node.name for node in model.graph]
    assert store_weights(model, word) == 0
    assert [node.name for node in model.graph] == before


def test_fp32_changes_nothing():
    model = matmul(RANDOM)
    assert store_weights(model, "fp32") == 0
    assert stored(model) == {"FLOAT"}


def test_an_unknown_word_is_refused():
    with pytest.raises(KeyError):
        store_weights(matmul(RANDOM), "int8")


@pytest.mark.parametrize("word", ["fp16", "bf16"])
def test_lossless_keeps_every_bit_of_a_checkpoint_of_that_width(word):
    weight = RANDOM.astype(KINDS[word]).astype(np.float32)
    model = matmul(weight)
    assert store_weights(model, word, lossless=True) == 1
    (held,) = model.graph.initializers.values()
    assert np.array_equal(held.const_value.numpy().astype(np.float32), weight)


@pytest.mark.parametrize("place", [(0, 0), (15, 31)])
@pytest.mark.parametrize("word, other", [("fp16", "bf16"), ("bf16", "fp16")])
def test_lossless_leaves_what_the_width_can_not_hold(word, other, place):
    # One value of the other kind is enough: 2**-30 is under float16's range, 1 + 2**-10 past bfloat16's digits.
    weight = np.ones(SHAPE, np.float32)
    weight[place] = {"fp16": 2.0**-30, "bf16": 1 + 2.0**-10}[word]
    model = matmul(weight)
    assert store_weights(model, word, lossless=True) == 0
    assert store_weights(model, other, lossless=True) == 1


@pytest.mark.parametrize("value", [65520.0, -70000.0, np.inf, np.nan])
def test_a_value_past_float16s_range_keeps_its_tensor_in_float32(value):
    weight = RANDOM.copy()
    weight[0, 0] = value
    model = matmul(weight)
    assert store_weights(model, "fp16") == 0
    assert stored(model) == {"FLOAT"}


def test_the_largest_float16_is_still_stored_so():
    weight = RANDOM.copy()
    weight[0, 0] = 65504.0
    assert store_weights(matmul(weight), "fp16") == 1


@pytest.mark.parametrize("size, count", [(SMALLEST - 1, 0), (SMALLEST, 1)])
def test_small_tensors_are_left_alone(size, count):
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([size]))
    bias = tensor(np.full(size, 1.5, np.float32), "bias")
    add = ir.node("Add", [x, bias])
    model = ir.Model(ir.Graph([x], add.outputs, nodes=[add], initializers=[bias]), ir_version=10)
    assert store_weights(model, "fp16") == count


def test_whole_numbers_are_left_alone():
    model = matmul(RANDOM)
    model.graph.register_initializer(tensor(np.zeros(1000, np.int64), "ids"))
    assert store_weights(model, "fp16") == 1
    assert stored(model) == {"FLOAT16", "INT64"}
