"""A float graph that also tells what its layers are given: samples of rows, and every channel's extremes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .layers import Layer
from .readers import readers
from .weights import initializer

if TYPE_CHECKING:
    import onnx_ir as ir

PLACES = "aquatint.places"  # the input that says which rows: (rows,) float32 in [0, 1), shares of all positions
ROWS, LOW, HIGH = "rows.", "low.", "high."  # of a watched value, before its name


def watched(model: ir.Model, layers: Sequence[Layer]) -> dict[str, str]:
    """Layer -> the name of the value that it reads; layers that share one (an attention's q, k and v) name it alike.

    A layer that is called at several places, with an input of its own at each, is left out.
    """
    found = {}
    for layer, nodes in readers(model, layers).items():
        values = {str(node.inputs[0].name) for node in nodes if node.inputs[0] is not None}
        if len(values) == 1:
            found[layer] = values.pop()
    return found


def observe(model: ir.Model, layers: Sequence[Layer]) -> dict[str, str]:
    """Add the input PLACES and, for each value x that a layer reads, three outputs; returns what `watched` does.

    rows.x: (rows, channels) of a linear layer, (batch, channels, rows) of a convolution: x at those places.
    low.x, high.x: (channels,), over the whole of x.
    """
    import onnx_ir as ir

    values = watched(model, layers)
    places = ir.Value(name=PLACES, type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape(["rows"]))
    model.graph.inputs.append(places)
    nodes = readers(model, layers)
    seen: set[str] = set()
    for layer in layers:
        name = values.get(layer.name)
        if name is not None and name not in seen:
            seen.add(name)
            value = nodes[layer.name][0].inputs[0]
            assert value is not None
            _watch(model, value, layer, places)
    return values


def _watch(model: ir.Model, value: ir.Value, layer: Layer, places: ir.Value) -> None:
    """x -> Gather(Reshape(x), places * positions), ReduceMin, ReduceMax"""
    import onnx_ir as ir

    # (positions, channels), or (batch, channels, positions) without a transposition of the whole.
    shape, axis, others = ([-1, layer.shape[1]], 0, [0]) if layer.kind == "linear" else ([0, 0, -1], 2, [0, 2])
    prefix = f"aquatint.{value.name}"
    flat = ir.node("Reshape", [value, initializer(model, f"{prefix}.shape", np.array(shape, np.int64))])
    length = ir.node("Shape", [flat.outputs[0]], attributes={"start": axis, "end": axis + 1})
    count = ir.node("Cast", [length.outputs[0]], attributes={"to": ir.DataType.FLOAT})
    where = ir.node("Mul", [places, count.outputs[0]])
    index = ir.node("Cast", [where.outputs[0]], attributes={"to": ir.DataType.INT64})
    rows = ir.node("Gather", [flat.outputs[0], index.outputs[0]], attributes={"axis": axis})
    axes = initializer(model, f"{prefix}.axes", np.array(others, np.int64))
    low = ir.node("ReduceMin", [flat.outputs[0], axes], attributes={"keepdims": 0})
    high = ir.node("ReduceMax", [flat.outputs[0], axes], attributes={"keepdims": 0})
    nodes = [flat, length, count, where, index, rows, low, high]
    for number, node in enumerate(nodes):
        node.name = f"{prefix}.{number}"
        node.outputs[0].name = f"{node.name}.output"
    for node, word in ((rows, ROWS), (low, LOW), (high, HIGH)):
        node.outputs[0].name = f"{word}{value.name}"
        node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        model.graph.outputs.append(node.outputs[0])
    model.graph.extend(nodes)
