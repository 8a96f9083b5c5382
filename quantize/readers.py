"""The nodes that compute with a layer's weight."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .layers import Layer

if TYPE_CHECKING:
    import onnx_ir as ir

READERS = ("MatMul", "Gemm", "Conv")
_BETWEEN = ("Cast", "Transpose")  # what may lie between a weight and its reader


def readers(model: ir.Model, layers: Sequence[Layer]) -> dict[str, list[ir.Node]]:
    """Layer -> its MatMul, Gemm or Conv nodes, one for all of our models.  The layers' weights are still floats."""
    return {layer.name: _below(model.graph.initializers[layer.weight]) for layer in layers}


def _below(value: ir.Value) -> list[ir.Node]:
    found: list[ir.Node] = []
    for use in value.uses():
        if use.node.op_type in _BETWEEN:
            found += _below(use.node.outputs[0])
        elif use.node.op_type in READERS and use.idx == 1:
            found.append(use.node)
    return found
