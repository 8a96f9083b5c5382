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

ir = pytest.importorskip("onnx_ir")

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
        return backend(Target.parse(word)).build(saved(model, tmp_path), _component(), folder)

    return build


@pytest.fixture
def run(feeds):
    """(artifact, target's word) -> its output, by the session that a bundle gets."""

    def run_artifact(path, word):
        target, shapes = Target.parse(word), Shapes(sizes=((64, 64),))
        session = open_session(path, _component(), target, shapes, EngineOptions(threads=1))
        return session.run(feeds)["y"]

    return run_artifact


@pytest.fixture
def referee(feeds, tmp_path):
    """A graph -> its output by ONNX's own reference, which is NumPy."""
    reference = pytest.importorskip("onnx.reference")

    def evaluate(model):
        return reference.ReferenceEvaluator(str(saved(model, tmp_path))).run(None, feeds)[0]

    return evaluate


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
    graph = ir.Graph([x], [y], nodes=nodes, initializers=[*held.values(), bias, flat], opset_imports={"": 23})
    return ir.Model(graph, ir_version=10)
