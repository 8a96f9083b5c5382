"""Round what a layer is given, once for all layers that read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .layers import Layer
from .weights import LAYER, SCHEME, initializer

if TYPE_CHECKING:
    import onnx_ir as ir


def rounded_before(value: ir.Value, scheme: str) -> ir.Value | None:
    """What the scheme's quantization of another layer made of the value."""
    for use in value.uses():
        if use.node.metadata_props.get(SCHEME) == scheme:
            last = use.node
            while last.op_type != "DequantizeLinear":
                (below,) = last.outputs[0].uses()
                last = below.node
            return last.outputs[0]
    return None


def round_input(
    model: ir.Model,
    layer: Layer,
    node: ir.Node,
    scheme: str,
    scale: np.float32,
    zero_point: np.ndarray,
    factors: np.ndarray | None,
) -> ir.Value:
    """x -> DequantizeLinear(QuantizeLinear(Mul(x, factors))), put before the node; without factors no Mul

    zero_point: a number, of the codes' type.  factors: (channels,).
    """
    import onnx_ir as ir

    value = node.inputs[0]
    assert value is not None
    prefix, nodes = f"{value.name}.{scheme}", []
    inside = value
    if factors is not None:
        shape = (1, -1, 1, 1) if layer.kind == "conv" else (-1,)
        nodes.append(ir.node("Mul", [value, initializer(model, f"{prefix}.factors", factors.reshape(shape))]))
        inside = nodes[0].outputs[0]
    grid = [
        initializer(model, f"{prefix}.scale", np.array(scale, np.float32)),
        initializer(model, f"{prefix}.zero_point", zero_point),
    ]
    nodes.append(ir.node("QuantizeLinear", [inside, *grid]))
    nodes.append(ir.node("DequantizeLinear", [nodes[-1].outputs[0], *grid]))
    for made in nodes:
        made.name = f"{prefix}.{made.op_type}"
        made.metadata_props.update({SCHEME: scheme, LAYER: layer.name})
        made.outputs[0].name = f"{made.name}.output"
    rounded = nodes[-1].outputs[0]
    rounded.type, rounded.shape = value.type, value.shape
    model.graph.insert_before(node, nodes)
    return rounded
