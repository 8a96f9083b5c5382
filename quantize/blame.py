"""Which layers lose most by being quantized: each one's own error, on what the float graph gives it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..runtime.errors import MissingPackage
from ..runtime.manifest import Component, TensorSpec
from ..runtime.session import EngineOptions, Session, open_session, require_device
from ..runtime.shapes import Shapes
from ..runtime.target import Target
from .readers import READERS
from .weights import LAYER

if TYPE_CHECKING:
    import onnx_ir as ir

ENGINES = (Target("ort", "cpu"), Target("openvino", "cpu"))  # that read ONNX; the first that is installed runs it
_BETWEEN = ("Cast", "Transpose")  # what may lie between a weight and its reader
_PREFIX = "aquatint.blame"


@dataclass(frozen=True)
class Loss:
    """What one layer loses by itself: root mean square of its output's error, in units of the output's own."""

    layer: str
    relative_error: float


def blame(graph: Path, quantized: Path, feeds: Mapping[str, np.ndarray]) -> list[Loss]:
    """Every quantized layer's own loss in one call of the network, worst first.

    graph: float32 ONNX.  quantized: the same after quantize_model, its other nodes and values still of those names.
    feeds: one input for each of the graph's.  Memory: the float graph's weights and the codes beside them.
    Raises MissingPackage where no engine is installed that reads ONNX.
    """
    import onnx_ir as ir

    model = ir.load(graph)
    layers = _graft(model, ir.load(quantized))
    with tempfile.TemporaryDirectory(prefix="aquatint-blame-") as work:
        path = Path(work) / "model.onnx"
        ir.save(model, path, external_data="model.onnx.data")
        session = _open(path, [str(value.name) for value in model.graph.outputs])
        try:
            sums = session.run(feeds)
        finally:
            session.close()
    errors: dict[str, float] = dict.fromkeys(layers, 0.0)
    signals = dict(errors)
    for index, layer in enumerate(layers):
        errors[layer] += float(sums[f"{_PREFIX}.{index}.error"])
        signals[layer] += float(sums[f"{_PREFIX}.{index}.signal"])
    losses = [Loss(layer, float(np.sqrt(errors[layer] / max(signals[layer], 1e-30)))) for layer in errors]
    return sorted(losses, key=lambda loss: -loss.relative_error)


def _graft(model: ir.Model, quantized: ir.Model) -> list[str]:
    """Beside each layer of the float graph, y = MatMul(x, W), its quantized twin on the same x:

    error = ReduceSumSquare(MatMul(Q(x), DQ(codes)) - y), signal = ReduceSumSquare(y)

    Those are the graph's outputs now; returns the layer's name of each pair, in order.
    """
    floats = _values(model)
    model.graph.outputs.clear()
    layers: list[str] = []
    copies: dict[str, ir.Value] = {}
    for node, layer in _quantized_nodes(quantized):
        twin = _copy(model, node, floats, copies)
        _measure(model, f"{_PREFIX}.{len(layers)}", twin, floats[str(node.outputs[0].name)])
        layers.append(layer)
    return layers


def _quantized_nodes(model: ir.Model) -> Iterator[tuple[ir.Node, str]]:
    for node in model.graph:
        marked = _marked(node.inputs[1]) if node.op_type in READERS else None
        if marked is not None:
            yield node, marked.metadata_props[LAYER]


def _marked(value: ir.Value | None) -> ir.Node | None:
    """The node of a scheme that gives a value, perhaps by way of a Transpose."""
    node = None if value is None else value.producer()
    if node is None or LAYER in node.metadata_props:
        return node
    return _marked(node.inputs[0]) if node.op_type in _BETWEEN else None


def _copy(model: ir.Model, node: ir.Node, floats: Mapping[str, ir.Value], copies: dict[str, ir.Value]) -> ir.Value:
    """The node and what its scheme put before it, read from the float graph's own values; its first output."""
    import onnx_ir as ir

    name = f"{_PREFIX}.{node.outputs[0].name}"
    if name not in copies:
        inputs = [_input(model, value, floats, copies) for value in node.inputs]
        made = ir.node(node.op_type, inputs, attributes=dict(node.attributes), domain=node.domain, name=name)
        made.outputs[0].name = name
        model.graph.append(made)
        copies[name] = made.outputs[0]
    return copies[name]


def _input(
    model: ir.Model, value: ir.Value | None, floats: Mapping[str, ir.Value], copies: dict[str, ir.Value]
) -> ir.Value | None:
    import onnx_ir as ir

    if value is None:
        return None
    if _marked(value) is None and str(value.name) in floats:
        return floats[str(value.name)]
    producer = value.producer()
    if producer is not None:
        return _copy(model, producer, floats, copies)
    name = f"{_PREFIX}.{value.name}"
    if name not in copies:
        held = value.const_value
        assert held is not None, f"{value.name} is no constant, and the float graph lacks it"
        copies[name] = ir.Value(
            name=name, type=ir.TensorType(held.dtype), shape=ir.Shape(held.shape.numpy()), const_value=held
        )
        model.graph.register_initializer(copies[name])
    return copies[name]


def _measure(model: ir.Model, prefix: str, twin: ir.Value, output: ir.Value) -> None:
    import onnx_ir as ir

    difference = ir.node("Sub", [twin, output])
    error = ir.node("ReduceSumSquare", [difference.outputs[0]], attributes={"keepdims": 0})
    signal = ir.node("ReduceSumSquare", [output], attributes={"keepdims": 0})
    for node, word in ((difference, "difference"), (error, "error"), (signal, "signal")):
        node.name = node.outputs[0].name = f"{prefix}.{word}"
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        model.graph.append(node)
    for node in (error, signal):
        node.outputs[0].shape = ir.Shape([])
        model.graph.outputs.append(node.outputs[0])


def _values(model: ir.Model) -> dict[str, ir.Value]:
    found = {str(value.name): value for value in (*model.graph.inputs, *model.graph.initializers.values())}
    return found | {str(value.name): value for node in model.graph for value in node.outputs}


def _open(path: Path, outputs: list[str]) -> Session:
    specs = tuple(TensorSpec(name, "float32", ()) for name in outputs)
    component = Component("the graph of layers to blame", path.name, "fp32", (), specs, scheme="mixed")
    for engine in ENGINES:
        try:
            require_device(engine)
        except MissingPackage:
            continue
        return open_session(path, component, engine, Shapes(((8, 8),)), EngineOptions())
    raise MissingPackage('to tell which layers lose most, install an engine: pip install "aquatint[ort]"')
