"""What each device of ONNX Runtime gets of one quantized graph."""

import tomllib
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import aquatint
from aquatint.runtime.manifest import Component, TensorSpec
from aquatint.runtime.shapes import Shapes
from aquatint.runtime.target import Target
from aquatint.targets import ort
from aquatint.targets.card import CARD
from aquatint.targets.order import Order

ir = pytest.importorskip("onnx_ir")

CHANNELS, GROUPS, SIDE = 8, 4, 4
INPUTS, WIDTH, OUTPUTS = SIDE * SIDE, 32, 24
RNG = np.random.default_rng(0)
CODES = {
    "int8": RNG.integers(-127, 128, (INPUTS, WIDTH)).astype(np.int8),
    "int4": RNG.integers(-7, 8, (WIDTH, OUTPUTS)).astype(ml_dtypes.int4),
}
SCALES = {
    "int8": RNG.uniform(0.001, 0.003, WIDTH).astype(np.float32),
    "int4": RNG.uniform(0.02, 0.05, (WIDTH // 16, OUTPUTS)).astype(np.float32),
}
NORM = {"scale": RNG.uniform(0.5, 2, CHANNELS).astype(np.float32), "bias": RNG.uniform(-1, 1, CHANNELS).astype("f")}
X = RNG.standard_normal((2, CHANNELS, SIDE, SIDE)).astype(np.float32)


def expected():
    """By the formulas, in float32."""
    rows = X.reshape(2, GROUPS, -1)
    rows = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + 1e-5)
    hidden = rows.reshape(X.shape) * NORM["scale"][:, None, None] + NORM["bias"][:, None, None]
    hidden = hidden.reshape(2, CHANNELS, INPUTS) @ (CODES["int8"].astype(np.float32) * SCALES["int8"])
    return hidden @ (CODES["int4"].astype(np.float32) * SCALES["int4"].repeat(16, 0))


@pytest.fixture
def built(tmp_path):
    """(device, precision) -> the path of its artifact."""

    def build(device, precision="fp16"):
        source, folder = tmp_path / "graph", tmp_path / f"{device}-{precision}"
        source.mkdir(exist_ok=True)
        folder.mkdir()
        ir.save(graph(), source / "model.onnx", external_data="model.onnx.data")
        inputs, outputs = TensorSpec("x", "float32", ("batch", 8, 4, 4)), TensorSpec("y", "float32", ("batch", 8, 24))
        component = Component("part", "", precision, (inputs,), (outputs,), scheme="mixed")
        return ort.build(source / "model.onnx", component, folder, Order(Target("ort", device), Shapes(((64, 64),))))

    return build


def graph():
    """A group norm, a layer in 8 bits, and one in 4."""
    held, nodes = [], []

    def constant(name, array):
        tensor = ir.Tensor(array, name=name)
        held.append(ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor))
        return held[-1]

    def add(op_type, *inputs, shape=None, **attributes):
        nodes.append(ir.node(op_type, list(inputs), attributes=attributes))
        made = nodes[-1].outputs[0]
        made.type, made.shape = ir.TensorType(ir.DataType.FLOAT), None if shape is None else ir.Shape(shape)
        return made

    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["batch", CHANNELS, SIDE, SIDE]))
    norm = [constant(name, array) for name, array in NORM.items()]
    hidden = add("GroupNormalization", x, *norm, num_groups=GROUPS, epsilon=1e-5, shape=x.shape)
    hidden = add("Reshape", hidden, constant("rows", np.array([0, CHANNELS, INPUTS])))
    for name, settings in (("int8", {"axis": 1}), ("int4", {"axis": 0, "block_size": 16})):
        given = [constant(f"{name}.codes", CODES[name]), constant(f"{name}.scales", SCALES[name])]
        hidden = add("MatMul", hidden, add("DequantizeLinear", *given, **settings))
    hidden.name, hidden.shape = "y", ir.Shape(["batch", CHANNELS, OUTPUTS])
    made = ir.Graph([x], [hidden], nodes=nodes, initializers=held, opset_imports={"": 23}, name="part")
    return ir.Model(made, ir_version=10)


def operators(path):
    return [node.op_type for node in ir.load(path).graph]


def scale_types(path, op_type, place):
    return {node.inputs[place].dtype.name for node in ir.load(path).graph if node.op_type == op_type}


@pytest.mark.parametrize("precision, kind", [("fp16", "FLOAT16"), ("bf16", "BFLOAT16"), ("fp32", "FLOAT")])
def test_on_cuda_layers_are_its_own_operators_in_the_types_of_the_precision(precision, kind, built):
    path = built("cuda", precision)
    assert not {"GroupNormalization", "InstanceNormalization", "DequantizeLinear", "MatMul"} & set(operators(path))
    assert operators(path).count("MatMulNBits") == 2
    assert scale_types(path, "MatMulNBits", 2) == scale_types(path, "MatMulNBits", 0) == {kind}


def test_a_processor_computes_in_float32_with_its_own_operators(built):
    path = built("cpu")
    assert operators(path).count("MatMulNBits") == 2
    assert "GroupNormalization" in operators(path)
    assert scale_types(path, "MatMulNBits", 2) == {"FLOAT"}


@pytest.mark.parametrize("device", ["directml", "migraphx"])
def test_other_typed_devices_keep_onnx_own_operators(device, built):
    path = built(device)
    assert "MatMulNBits" not in operators(path)
    assert scale_types(path, "DequantizeLinear", 1) == {"FLOAT16"}


def test_what_a_device_is_free_to_choose_is_copied_as_it_is(built, tmp_path):
    path = built("coreml")
    assert path.read_bytes() == (tmp_path / "graph" / "model.onnx").read_bytes()


@pytest.mark.parametrize(
    "device, precision, error", [("cpu", "fp16", 1e-5), ("cuda", "fp32", 1e-5), ("cuda", "fp16", 2e-3)]
)
def test_the_artifact_gives_what_the_graph_says(device, precision, error, built):
    """By the processor's kernels, which there are for float16 too; errors: float32's order of sums, 11 bits."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    path = str(built(device, precision))
    (got,) = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, {"x": X})
    assert got.dtype == np.float32
    assert np.linalg.norm(got - expected()) < error * np.linalg.norm(expected())


def test_a_gpus_artifact_says_what_its_weights_take(built):
    cuda, cpu = built("cuda"), built("cpu")
    assert (cuda.parent / CARD).is_file()
    assert not (cpu.parent / CARD).exists()


def test_in_bfloat16_cuda_quantizes_in_float32(built):
    """Its kernels of QuantizeLinear and DequantizeLinear know no bfloat16; convolutions keep them."""
    sketch = ir.load(built("cuda", "bf16"))
    kinds = {node.outputs[0].dtype.name for node in sketch.graph if node.op_type == "DequantizeLinear"}
    assert kinds <= {"FLOAT"}


@pytest.mark.parametrize("device, able", [("cpu", True), ("cuda", False)])
def test_cuda_has_no_kernels_for_rounded_activations(device, able):
    assert ("int8" in ort.schemes(device)) == able


def test_a_bundle_asks_for_the_release_that_the_package_asks_for():
    text = (Path(aquatint.__file__).parent / "pyproject.toml").read_text(encoding="utf-8")
    asked = tomllib.loads(text)["project"]["optional-dependencies"]
    order = Order(Target("ort", "cuda"), Shapes(((64, 64),)))
    assert asked["ort"] == [f"onnxruntime>={ort.requires(order)['onnxruntime']}"]
