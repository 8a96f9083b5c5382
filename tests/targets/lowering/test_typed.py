"""Graphs that say what is computed in 16 bits: what becomes 16 bits, what stays float32, and what it costs."""

import ml_dtypes
import numpy as np
import pytest

from aquatint.runtime.errors import BadModel
from aquatint.targets.lowering.attention import take_apart_attention
from aquatint.targets.lowering.group_norm import take_apart_group_norm
from aquatint.targets.lowering.typed import type_graph

ir = pytest.importorskip("onnx_ir")

KINDS = {"fp16": "FLOAT16", "bf16": "BFLOAT16"}
NUMPY = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16}
# Of a whole network: each of some hundred nodes rounds to 11 or 8 bits, which is 2e-4 or 2e-3 of its result.
ERROR = {"fp16": 6e-3, "bf16": 5e-2}


def numbers(*shape, scale=1.0):
    return (np.random.default_rng(sum(shape)).standard_normal(shape) * scale).astype(np.float32)


def relative(got, wanted):
    return float(np.linalg.norm(got.astype(np.float64) - wanted) / np.linalg.norm(wanted))


def kinds(model, *op_types):
    """What the nodes of some operators compute in."""
    return [node.outputs[0].dtype.name for node in model.graph if node.op_type in op_types]


def network(sketch):
    """A denoiser in little: time embedding, convolution, normalization, upsampling, attention's softmax."""
    x, time = sketch.input("x", "batch", 8, 4, 4), sketch.input("time", 1)
    angles = sketch.add("Mul", time, sketch.constant("frequencies", np.geomspace(1, 1e-3, 16, dtype=np.float32)))
    waves = sketch.add("Concat", sketch.add("Sin", angles), sketch.add("Cos", angles), axis=0)
    row = sketch.add("Unsqueeze", waves, sketch.constant("zero", np.array([0])))
    told = sketch.add("Gemm", row, sketch.constant("time.weight", numbers(8, 32, scale=0.2)), transB=1)
    told = sketch.add("Unsqueeze", told, sketch.constant("axes", np.array([2, 3])))
    hidden = sketch.add("Conv", x, sketch.constant("conv.weight", numbers(8, 8, 3, 3, scale=0.1)), pads=[1, 1, 1, 1])
    hidden = sketch.add("Add", hidden, told, shape=("batch", 8, 4, 4))
    norm = [sketch.constant(f"norm.{name}", numbers(8) + shift) for name, shift in (("scale", 1), ("bias", 0))]
    hidden = sketch.add("GroupNormalization", hidden, *norm, num_groups=4, epsilon=1e-5, shape=("batch", 8, 4, 4))
    hidden = sketch.add("Mul", hidden, sketch.add("Sigmoid", hidden))
    scales = sketch.constant("scales", np.array([1, 1, 2, 2], np.float32))
    hidden = sketch.add("Resize", hidden, None, scales, mode="nearest", shape=("batch", 8, 8, 8))
    rows = sketch.add("Reshape", hidden, sketch.constant("rows", np.array([0, 2, 4, -1])), shape=("batch", 2, 4, 64))
    mixed = sketch.add("Attention", rows, rows, rows, shape=("batch", 2, 4, 64))
    sketch.output("y", mixed, "batch", 2, 4, 64)
    return sketch.model()


FEEDS = {"x": numbers(2, 8, 4, 4), "time": np.array([987], np.float32)}


@pytest.mark.parametrize("math", ["fp16", "bf16"])
@pytest.mark.parametrize("apart", [False, True], ids=["whole", "taken apart"])
def test_a_network_in_16_bits_gives_nearly_the_same(math, apart, sketch, evaluate, evaluate_rounded, check_types):
    model = network(sketch)
    (wanted,) = evaluate(model, FEEDS)
    if apart:
        assert take_apart_group_norm(model) + take_apart_attention(model) == 2
    assert type_graph(model, math) > 5
    check_types(model)
    assert set(kinds(model, "Gemm", "Conv", "Softmax", "MatMul", "Sigmoid", "Attention")) == {KINDS[math]}
    (got,) = evaluate_rounded(model, FEEDS)
    assert 1e-5 < relative(got, wanted) < ERROR[math]
    assert type_graph(model, math) == 0


def test_inputs_and_outputs_stay_as_they_were(sketch):
    model = network(sketch)
    type_graph(model, "fp16")
    table = [(value.name, value.dtype.name, str(value.shape)) for value in (*model.graph.inputs, *model.graph.outputs)]
    assert table == [("x", "FLOAT", "[batch,8,4,4]"), ("time", "FLOAT", "[1]"), ("y", "FLOAT", "[batch,2,4,64]")]


def test_float32_is_left_alone(sketch):
    model = network(sketch)
    before = [node.op_type for node in model.graph]
    assert type_graph(model, "fp32") == 0
    assert [node.op_type for node in model.graph] == before


def test_angles_and_what_they_are_made_of_stay_float32(sketch):
    model = network(sketch)
    type_graph(model, "bf16")
    assert kinds(model, "Sin", "Cos", "Concat") == ["FLOAT"] * 3
    assert kinds(model, "Mul")[0] == "FLOAT"
    assert model.graph.initializers["frequencies"].dtype == ir.DataType.FLOAT


def test_scale_and_bias_stay_with_a_normalization_that_stays_float32(sketch):
    """The Cast stands behind them: one rounding in place of three."""
    model = network(sketch)
    take_apart_group_norm(model)
    type_graph(model, "bf16")
    (norm,) = (node for node in model.graph if node.op_type == "InstanceNormalization")
    after = [norm]
    while after[-1].op_type != "Cast":
        after.append(next(use.node for use in after[-1].outputs[0].uses()))
    assert [node.op_type for node in after[1:]] == ["Reshape", "Mul", "Add", "Cast"]


@pytest.mark.parametrize("math", ["fp16", "bf16"])
@pytest.mark.parametrize("stored", ["float32", "float16", "bfloat16"])
def test_a_weight_is_stored_in_the_type_of_the_arithmetic(math, stored, sketch, evaluate_rounded, check_types):
    weight = numbers(6, 4).astype(ml_dtypes.bfloat16).astype(stored)  # few enough bits for every type
    held = sketch.constant("weight", weight)
    if stored != "float32":
        held = sketch.add("Cast", held, to=1, shape=(6, 4))
    sketch.output("y", sketch.add("MatMul", sketch.input("x", 2, 6), held), 2, 4)
    model = sketch.model()
    assert type_graph(model, math) == 1
    check_types(model)
    (kept,) = model.graph.initializers.values()
    assert kept.dtype.name == KINDS[math]
    assert kept.name == ("weight" if stored == NUMPY[math].__name__ else f"weight.{math}")
    np.testing.assert_array_equal(kept.const_value.numpy().astype(np.float32), weight.astype(np.float32))
    assert [node.op_type for node in model.graph] == ["Cast", "MatMul", "Cast"]
    x = numbers(2, 6).astype(NUMPY[math]).astype(np.float32)
    wanted = (x @ weight.astype(np.float32)).astype(NUMPY[math])
    np.testing.assert_allclose(evaluate_rounded(model, {"x": x})[0], wanted.astype(np.float32), rtol=1e-2)


def test_a_converted_weight_is_not_held_in_memory(sketch):
    model = network(sketch)
    type_graph(model, "fp16")
    assert isinstance(model.graph.initializers["conv.weight.fp16"].const_value, ir.LazyTensor)


@pytest.mark.parametrize(
    "constant, math, stays",
    [
        ([70000.0, 1.0], "fp16", True),  # past what float16 reaches
        ([70000.0, 1.0], "bf16", False),
        ([1e-9], "fp16", True),  # alone, it would get 0
        ([1e-9, 1.0], "fp16", False),  # a small weight among others
        ([-np.inf, 0.0], "fp16", False),  # a mask
    ],
)
def test_a_constant_that_16_bits_can_not_hold_keeps_its_node_in_float32(
    constant, math, stays, sketch, evaluate_rounded, check_types
):
    wide = np.array(constant, np.float32)
    product = sketch.add("Mul", sketch.add("Relu", sketch.input("x", 2)), sketch.constant("wide", wide), shape=(2,))
    sketch.output("y", sketch.add("Div", product, sketch.constant("same", wide + np.float32(0))), 2)
    sketch.output("z", sketch.add("Neg", product), 2)
    model = sketch.model()
    type_graph(model, math)
    check_types(model)
    assert set(kinds(model, "Mul", "Div")) == {"FLOAT" if stays else KINDS[math]}
    assert kinds(model, "Relu", "Neg") == [KINDS[math]] * 2
    if stays:
        np.testing.assert_array_equal(evaluate_rounded(model, {"x": np.array([0.25, 0.5], "f")})[0], [0.25, 0.5])


def test_sizes_and_integers_are_made_in_float32(sketch, evaluate, check_types):
    """Half of 4098 in float16 is 2050, as it has no odd numbers past 2048."""
    x = sketch.input("x", 1, "long")
    length = sketch.add("Cast", sketch.add("Shape", x, kind="INT64", start=1), to=1)
    half = sketch.add("Floor", sketch.add("Mul", length, sketch.constant("half", np.array([0.5], np.float32))))
    end = sketch.add("Cast", half, kind="INT64", to=7)
    zero, axis = sketch.constant("zero", np.array([0])), sketch.constant("axis", np.array([1]))
    sketch.output("y", sketch.add("Slice", sketch.add("Neg", x), zero, end, axis), 1, "half")
    model = sketch.model()
    assert type_graph(model, "fp16") == 2
    check_types(model)
    assert evaluate(model, {"x": numbers(1, 4098)})[0].shape == (1, 2049)


def test_integers_that_become_floats_join_the_arithmetic(sketch, evaluate, check_types):
    """By float32: 70001 is past what float16 reaches, its thousandth is not."""
    ids = sketch.add("Cast", sketch.input("ids", 3, kind="INT64"), to=1)
    thousandth = sketch.add("Div", ids, sketch.constant("many", np.array(1e5, np.float32)))
    sketch.output("y", sketch.add("Sqrt", thousandth), 3)
    model = sketch.model()
    assert type_graph(model, "fp16") == 1
    check_types(model)
    (got,) = evaluate(model, {"ids": np.array([1, 900, 70001])})
    np.testing.assert_allclose(got, np.sqrt(np.array([1, 900, 70001]) / 1e5), rtol=1e-3)


def test_constant_nodes_count_as_constants(sketch, check_types):
    factor = sketch.add("Constant", value=ir.tensor(np.array(1.702, np.float32)))
    sketch.output("y", sketch.add("Mul", sketch.input("x", 2), factor), 2)
    model = sketch.model()
    type_graph(model, "fp16")
    check_types(model)
    assert [node.op_type for node in model.graph] == ["Cast", "Mul", "Cast"]


@pytest.mark.parametrize("math, expected", [("fp16", "FLOAT16"), ("bf16", "FLOAT")])
def test_resize_reads_its_scales_in_float32(math, expected, sketch, check_types):
    model = network(sketch)
    type_graph(model, math)
    check_types(model)
    assert kinds(model, "Resize") == [expected]
    assert model.graph.initializers["scales"].dtype == ir.DataType.FLOAT


def quantized_linear(sketch, scale):
    """MatMul(DQ(Q(x)), DQ(codes)), both with scales of the same size; without types, as quantization leaves them."""
    grid = [sketch.constant("scale", np.array(scale, np.float32)), sketch.constant("zero", np.array(0, np.int8))]
    x = sketch.input("x", 2, 6)
    rounded = sketch.add("DequantizeLinear", sketch.add("QuantizeLinear", x, *grid, kind=None), *grid, kind=None)
    codes = sketch.constant("codes", np.arange(-12, 12, dtype=np.int8).reshape(6, 4))
    scales = sketch.constant("scales", np.array([1, 2, 3, 4], np.float32) * np.float32(scale))
    weight = sketch.add("DequantizeLinear", codes, scales, axis=1)
    sketch.output("y", sketch.add("MatMul", rounded, weight), 2, 4)
    return sketch.model()


@pytest.mark.parametrize(
    "math, scale, expected",
    [
        ("fp16", 0.03, "FLOAT16"),
        ("fp16", 1e-6, "FLOAT"),  # float16 has three bits there
        ("bf16", 1e-6, "BFLOAT16"),
        ("bf16", 1.0038, "BFLOAT16"),  # as far from its neighbours as can be
    ],
)
def test_quantizers_have_the_type_of_a_scale_that_keeps_its_digits(
    math, scale, expected, sketch, evaluate, evaluate_rounded, check_types
):
    model = quantized_linear(sketch, scale)
    x = numbers(2, 6, scale=50 * scale)
    (wanted,) = evaluate(model, {"x": x})
    type_graph(model, math)
    check_types(model)
    assert kinds(model, "DequantizeLinear") == [expected] * 2
    quantize, *others = (node for node in model.graph if node.op_type.endswith("Linear"))
    assert quantize.inputs[0].dtype == quantize.inputs[1].dtype == ir.DataType[expected]
    assert quantize.inputs[1] is others[0].inputs[1]
    assert not any("output_dtype" in node.attributes for node in model.graph)
    assert kinds(model, "MatMul") == [KINDS[math]]
    if scale > 1e-5:  # float16 has no result for the small one
        # A few codes go over to their neighbour, and are about 50 large.
        assert relative(evaluate_rounded(model, {"x": x})[0], wanted) < 2e-2


@pytest.mark.parametrize("scheme", ["int8-weights", "int4", "nf4"])
def test_quantized_weights_are_widened_to_16_bits(scheme, quantized, referee, check_types):
    """By ONNX's reference, as ONNX Runtime would round what some of these layers are given to 8 bits."""
    model = quantized(scheme, {"feedback": False} if scheme == "int4" else {})
    wanted = referee(model)
    type_graph(model, "fp16")
    check_types(model)
    widened = kinds(model, "DequantizeLinear", "Gather")
    assert len(widened) == 6
    assert set(widened) == {"FLOAT16"}
    assert relative(referee(model), wanted) < 2e-3


def test_an_output_may_be_read_inside_too(sketch, evaluate_rounded, check_types):
    first = sketch.add("Neg", sketch.input("x", 3))
    sketch.output("first", first, 3)
    sketch.output("second", sketch.add("Abs", first), 3)
    model = sketch.model()
    assert type_graph(model, "bf16") == 2
    check_types(model)
    assert [output.name for output in model.graph.outputs] == ["first", "second"]
    first, second = evaluate_rounded(model, {"x": np.array([1, -2, 3], np.float32)})
    assert (first.tolist(), second.tolist()) == ([-1, 2, -3], [1, 2, 3])


def test_a_graph_in_the_graph_is_refused(sketch):
    yes = sketch.input("yes", kind="BOOL")
    inside = [ir.Graph([], [], nodes=[], opset_imports={"": 23}, name=name) for name in ("then", "else")]
    choice = sketch.add("If", yes, then_branch=inside[0], else_branch=inside[1])
    choice.producer().name = "choice"
    sketch.output("y", choice, 1)
    with pytest.raises(BadModel, match="choice has a graph of its own"):
        type_graph(sketch.model(), "fp16")


@pytest.mark.parametrize("name", ["text_encoder", "unet", "vae_decoder"])
@pytest.mark.parametrize("math", ["fp16", "bf16"])
def test_every_component_of_a_checkpoint_is_typed(name, math, workshop, evaluate, evaluate_rounded, check_types):
    path = workshop.bundle("tiny-sd", "ort:cpu") / name / "model.onnx"
    sizes = {"batch": 2, "height/8": 8, "width/8": 8, "tokens": 77}
    feeds = {}
    for value in ir.load(path).graph.inputs:
        shape = [dim if isinstance(dim, int) else sizes[dim.value] for dim in value.shape]
        feeds[value.name] = numbers(*shape) if value.dtype == ir.DataType.FLOAT else np.ones(shape, np.int64)
    feeds |= {"timestep": np.array([987], np.float32)} if name == "unet" else {}
    (wanted,) = evaluate(ir.load(path), feeds)
    model = ir.load(path)
    assert take_apart_attention(model) > 0
    take_apart_group_norm(model)
    assert type_graph(model, math) > 50
    check_types(model)
    (got,) = evaluate_rounded(model, feeds)
    assert got.dtype == np.float32
    assert relative(got, wanted) < ERROR[math]
