"""A graph with every way to write a linear layer, quantized, built for a target, and run by its session."""

from pathlib import Path

import numpy as np
import pytest

from aquatint.quantize.apply import quantize_model
from aquatint.quantize.assign import Rule, assign
from aquatint.quantize.layers import find_layers
from aquatint.runtime.manifest import Component, TensorSpec
from aquatint.runtime.session import EngineOptions, open_session
from aquatint.runtime.shapes import Shapes
from aquatint.runtime.target import Target
from aquatint.targets import backend
from aquatint.targets.order import Order

ir = pytest.importorskip("onnx_ir")

SIZES = Shapes(sizes=((64, 64),))
SHAPES = {
    "up.weight": (192, 128),
    "flipped.weight": (64, 192),
    "narrow.weight": (100, 64),
    "straddling.weight": (96, 100),  # in blocks of 64 that go over the ends of rows
    "down.weight": (64, 96),
    "again.weight": (64, 64),
}


@pytest.fixture(scope="session")
def weights():
    """Name -> as torch has it, (out, in)."""
    rng = np.random.default_rng(0)
    scaled = {name: rng.standard_normal(shape) / np.sqrt(shape[1]) for name, shape in SHAPES.items()}
    return {name: array.astype(np.float32) for name, array in scaled.items()}


@pytest.fixture(scope="session")
def feeds():
    return {"x": np.random.default_rng(1).standard_normal((2, 5, 128)).astype(np.float32)}


@pytest.fixture
def quantized(weights):
    """(scheme, settings, rules) -> the graph, quantized: MatMul, Transpose and MatMul, Gemm, and two of one weight."""

    def make(scheme, settings=None, rules=()):
        model = _graph(weights)
        quantize_model(model, assign(find_layers(model), rules, Rule(scheme, settings=settings or {})))
        return model

    return make


@pytest.fixture
def built(tmp_path):
    """(graph, target's word) -> the path of its artifact."""

    def build(model, word):
        folder = tmp_path / word.replace(":", "-")
        folder.mkdir()
        target = Target.parse(word)
        return backend(target).build(saved(model, tmp_path), _component(), folder, Order(target, SIZES))

    return build


@pytest.fixture
def run(feeds):
    """(artifact, target's word) -> its output, by the session that a bundle gets."""

    def run_artifact(path, word):
        session = open_session(path, _component(), Target.parse(word), SIZES, EngineOptions(threads=1))
        return session.run(feeds)["y"]

    return run_artifact


@pytest.fixture
def referee(feeds, tmp_path):
    """A graph -> its output by ONNX's own reference, which is NumPy."""
    reference = pytest.importorskip("onnx.reference")

    def evaluate(model):
        return reference.ReferenceEvaluator(str(saved(model, tmp_path))).run(None, feeds)[0]

    return evaluate


class Sketch:
    """A graph, written down node by node."""

    def __init__(self):
        self.nodes, self.inputs, self.constants, self.outputs = [], [], [], []

    def input(self, name, *shape, kind="FLOAT"):
        self.inputs.append(ir.Value(name=name, type=ir.TensorType(ir.DataType[kind]), shape=ir.Shape(shape)))
        return self.inputs[-1]

    def constant(self, name, array):
        self.constants.append(constant(array, name))
        return self.constants[-1]

    def add(self, op_type, *inputs, kind="FLOAT", shape=None, outputs=1, **attributes):
        """kind: of its outputs, or None where the graph is not to say it."""
        node = ir.node(op_type, list(inputs), attributes=attributes, num_outputs=outputs)
        for output in node.outputs:
            output.type = None if kind is None else ir.TensorType(ir.DataType[kind])
            output.shape = None if shape is None else ir.Shape(shape)
        self.nodes.append(node)
        return node.outputs[0] if outputs == 1 else node.outputs

    def output(self, name, value, *shape):
        value.name, value.shape = name, ir.Shape(shape) if shape else value.shape
        self.outputs.append(value)

    def model(self):
        opsets = {"": 23}
        graph = ir.Graph(
            self.inputs,
            self.outputs,
            nodes=self.nodes,
            initializers=self.constants,
            opset_imports=opsets,
            name="sketch",
        )
        return ir.Model(graph, ir_version=10)


@pytest.fixture
def sketch():
    return Sketch()


@pytest.fixture
def evaluate(tmp_path):
    """(graph, feeds) -> its outputs by ONNX Runtime on the processor, which computes float16 in float32."""
    onnxruntime = pytest.importorskip("onnxruntime")

    def run_graph(model, feeds):
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 3, 1
        path = str(saved(model, tmp_path))
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(None, feeds)

    return run_graph


@pytest.fixture
def evaluate_rounded():
    """(graph, feeds) -> its outputs, node by node in float32, each result rounded to the type that the graph gives it.

    This is what a GPU computes, with its sums in float32, but for the order of sums.
    """
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1

    def run_node(node, arrays):
        names = ["" if given is None else f"input.{place}" for place, given in enumerate(node.inputs)]
        feeds = {name: array for name, array in zip(names, arrays) if name}
        outputs = [f"output.{place}" for place in range(len(node.outputs))]
        proto = onnx.NodeProto()
        proto.CopyFrom(ir.to_proto(node))
        del proto.input[:], proto.output[:]
        proto.input.extend(names)
        proto.output.extend(outputs)
        kinds = [ir.DataType.from_numpy(array.dtype) for array in feeds.values()]
        wide = [ir.DataType.FLOAT if output.dtype.bitwidth == 16 else output.dtype for output in node.outputs]
        told = onnx.helper.make_tensor_value_info
        given = [told(name, kind, array.shape) for (name, array), kind in zip(feeds.items(), kinds)]
        graph = onnx.helper.make_graph([proto], "node", given, [told(*pair, None) for pair in zip(outputs, wide)])
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 23)], ir_version=10)
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return session.run(None, feeds)

    def run_graph(model, feeds):
        values = {value: value.const_value.numpy() for value in model.graph.initializers.values()}
        values |= {value: feeds[value.name] for value in model.graph.inputs}
        for node in model.graph:
            arrays = [values.get(given) for given in node.inputs]
            if node.op_type == "Cast":
                results = arrays
            else:
                narrow = [given is not None and given.dtype.name in ("FLOAT16", "BFLOAT16") for given in node.inputs]
                results = run_node(node, [array.astype("f") if is16 else array for array, is16 in zip(arrays, narrow)])
            for output, result in zip(node.outputs, results):
                values[output] = result.astype(output.dtype.numpy())
        return [values[output] for output in model.graph.outputs]

    return run_graph


@pytest.fixture
def check_types(tmp_path):
    """Raises where the types or shapes that a graph says are not what ONNX's own inference finds."""
    onnx = pytest.importorskip("onnx")

    def infer(model):
        path = str(saved(model, tmp_path))
        onnx.checker.check_model(path, full_check=True)
        inferred = str(tmp_path / "inferred.onnx")
        onnx.shape_inference.infer_shapes_path(path, inferred, check_type=True, strict_mode=True, data_prop=True)

    return infer


def saved(model, folder: Path) -> Path:
    path = folder / "model.onnx"
    ir.save(model, path, external_data="model.onnx.data")
    return path


def constant(array, name):
    tensor = ir.Tensor(array, name=name)
    return ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor)


def _component():
    inputs, outputs = TensorSpec("x", "float32", (2, 5, 128)), TensorSpec("y", "float32", (10, 64))
    return Component("part", "", "fp32", (inputs,), (outputs,), scheme="mixed")


def _graph(weights):
    turned = ("up.weight", "narrow.weight", "straddling.weight")
    held = {name: constant(weights[name].T.copy() if name in turned else weights[name], name) for name in weights}
    bias, flat = constant(np.linspace(-1, 1, 64, dtype=np.float32), "down.bias"), constant(np.array([-1, 96]), "flat")
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2, 5, 128]))
    nodes = []

    def add(kind, *inputs, **attributes):
        nodes.append(ir.node(kind, list(inputs), attributes=attributes))
        return nodes[-1].outputs[0]

    wide = add("Relu", add("MatMul", x, held["up.weight"]))
    back = add("MatMul", wide, add("Transpose", held["flipped.weight"], perm=[1, 0]))
    odd = add("MatMul", add("Relu", add("MatMul", back, held["narrow.weight"])), held["straddling.weight"])
    down = add("Gemm", add("Reshape", odd, flat), held["down.weight"], bias, transB=1)
    once = add("Gemm", down, held["again.weight"], transB=1)
    y = add("Gemm", add("Relu", once), held["again.weight"], bias, transB=1)
    y.name, y.type, y.shape = "y", ir.TensorType(ir.DataType.FLOAT), ir.Shape([10, 64])
    held_all = [*held.values(), bias, flat]
    graph = ir.Graph([x], [y], nodes=nodes, initializers=held_all, opset_imports={"": 23}, name="layers")
    return ir.Model(graph, ir_version=10)
