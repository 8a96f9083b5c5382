"""GroupNormalization by LayerNormalization, for ONNX Runtime on CUDA."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from ...runtime.errors import BadModel
from .constants import shared_constant
from .group_norm import EPSILON, OPERATOR, along_channels

if TYPE_CHECKING:
    import onnx_ir as ir


def group_norm_as_rows(model: ir.Model) -> int:
    """GroupNormalization(x, scale, bias) -> Add(Mul(Reshape(LayerNormalization(Reshape(x), ones)), scale), bias)

    Each group is a row.  ONNX Runtime 1.31 has no kernel of GroupNormalization on CUDA, and its kernel of
    InstanceNormalization stands for opsets before 22 only: at 23 that runs on the processor, with copies there and
    back.  LayerNormalization has kernels in float32, float16 and bfloat16, which sum up in float32.
    Its scale has to be as long as a row, so it is one number that is spread when the graph runs.
    Raises BadModel where channels, scale or bias are not known, or the scale is not one number per channel.
    """
    import onnx_ir as ir
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    spread: dict[tuple[int, str], ir.Value] = {}
    count = 0
    for node in list(model.graph):
        if node.op_type != OPERATOR or node.domain != "":
            continue
        added = _apart(model, node, spread)
        ir.convenience.replace_nodes_and_values(model.graph, node, [node], added, node.outputs, added[-1].outputs)
        count += 1
    if count:
        RemoveUnusedNodesPass()(model)  # scales and biases in their old form
    return count


def _apart(model: ir.Model, node: ir.Node, spread: dict[tuple[int, str], ir.Value]) -> list[ir.Node]:
    """spread: length and type of a row -> its ones, shared by all rows of a known length."""
    import onnx_ir as ir

    x, unique = node.inputs[0], str(node.outputs[0].name)  # a node's own name may be empty, and shared
    if x is None or x.shape is None or x.dtype is None or not isinstance(x.shape[1], int):
        raise BadModel(f"{OPERATOR} {unique} can't be taken apart: its input's type or channels are not known")
    given, kind, word = x.dtype, x.dtype.numpy(), x.dtype.name
    groups = node.attributes["num_groups"].as_int()
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else EPSILON
    column = (1, x.shape[1], *(1,) * (len(x.shape) - 2))
    factors = [along_channels(model, node, place, kind, column) for place in (1, 2)]
    one = shared_constant(model, f"aquatint.group_norm.one.{word}", np.ones(1, kind))
    rows = shared_constant(model, f"aquatint.group_norm.rows.{groups}", np.array([0, groups, -1]))
    added: list[ir.Node] = []

    def add(op_type: str, *inputs: ir.Value, **attributes: float) -> ir.Value:
        made = ir.node(op_type, list(inputs), attributes, name=f"{unique}.{op_type}.{len(added)}")
        made.outputs[0].name = f"{made.name}.output"
        made.outputs[0].dtype = ir.DataType.INT64 if op_type == "Shape" else given
        added.append(made)
        return made.outputs[0]

    if x.shape.is_static():
        sides = x.shape.numpy()
        shape, length = shared_constant(model, f"{unique}.shape", np.array(sides)), math.prod(sides[1:]) // groups
        flat = add("Reshape", x, rows)
        if (length, word) not in spread:
            size = shared_constant(model, f"aquatint.group_norm.length.{length}", np.array([length]))
            spread[length, word] = add("Expand", one, size)
        ones = spread[length, word]
    else:
        shape, flat = add("Shape", x), add("Reshape", x, rows)
        ones = add("Expand", one, add("Shape", flat, start=2))
    norm = add("LayerNormalization", flat, ones, axis=-1, epsilon=epsilon)
    back = add("Reshape", norm, shape)
    scaled = add("Mul", back, factors[0])
    shifted = add("Add", scaled, factors[1])
    for made in (back, scaled, shifted):
        made.shape = x.shape
    return added
