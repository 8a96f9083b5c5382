"""GroupNormalization by InstanceNormalization, for engines that have no right kernel of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...runtime.errors import BadModel
from .constants import shared_constant, tensor_of

if TYPE_CHECKING:
    import onnx_ir as ir

OPERATOR = "GroupNormalization"
EPSILON = 1e-5  # where a node does not say it


def take_apart_group_norm(model: ir.Model) -> int:
    """GroupNormalization(x, scale, bias) -> Add(Mul(Reshape(InstanceNormalization(Reshape(x))), scale), bias)

    TensorRT's reader, up to 10.1 at least, takes the scale for one number per group, as it was before opset 21.
    ONNX Runtime has no kernel of GroupNormalization for CUDA, and makes many small nodes of it.
    stash_type falls away: engines sum an InstanceNormalization up in float32 anyway.
    Raises BadModel where channels, scale or bias are not known, or the scale is not one number per channel.
    """
    import onnx_ir as ir
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    count = 0
    for node in list(model.graph):
        if node.op_type != OPERATOR or node.domain != "":
            continue
        added = _apart(model, node)
        ir.convenience.replace_nodes_and_values(model.graph, node, [node], added, node.outputs, added[-1].outputs)
        count += 1
    if count:
        RemoveUnusedNodesPass()(model)  # scales and biases in their old form
    return count


def _apart(model: ir.Model, node: ir.Node) -> list[ir.Node]:
    import onnx_ir as ir

    x, unique = node.inputs[0], str(node.outputs[0].name)  # a node's own name may be empty, and shared
    if x is None or x.shape is None or x.dtype is None or not isinstance(x.shape[1], int):
        raise BadModel(f"GroupNormalization {unique} can't be taken apart: its input's type or channels are not known")
    kind, channels = x.dtype.numpy(), x.shape[1]
    groups = node.attributes["num_groups"].as_int()
    epsilon = node.attributes["epsilon"].as_float() if "epsilon" in node.attributes else EPSILON
    column = (1, channels, *(1,) * (len(x.shape) - 2))
    factors = [along_channels(model, node, place, kind, column) for place in (1, 2)]
    ones, zeros = (
        shared_constant(model, f"aquatint.group_norm.{word}.{groups}.{x.dtype.name}", np.full(groups, number, kind))
        for word, number in (("ones", 1), ("zeros", 0))
    )
    rows = shared_constant(model, f"aquatint.group_norm.rows.{groups}", np.array([0, groups, -1]))
    before: list[ir.Node] = []
    if x.shape.is_static():
        shape = shared_constant(model, f"{unique}.shape", np.array(x.shape.numpy()))
    else:
        before.append(ir.node("Shape", [x]))
        shape = before[0].outputs[0]
        shape.dtype, shape.shape = ir.DataType.INT64, ir.Shape([len(x.shape)])
    flat = ir.node("Reshape", [x, rows])
    norm = ir.node("InstanceNormalization", [flat.outputs[0], ones, zeros], {"epsilon": epsilon})
    back = ir.node("Reshape", [norm.outputs[0], shape])
    scaled = ir.node("Mul", [back.outputs[0], factors[0]])
    shifted = ir.node("Add", [scaled.outputs[0], factors[1]])
    added = [*before, flat, norm, back, scaled, shifted]
    for made in added:
        made.name = f"{unique}.{made.op_type}" + (".back" if made is back else "")
        made.outputs[0].name = f"{made.name}.output"
        made.outputs[0].dtype = made.outputs[0].dtype or x.dtype
    for made in (back, scaled, shifted):
        made.outputs[0].shape = x.shape
    return added


def along_channels(model: ir.Model, node: ir.Node, place: int, kind: np.dtype, shape: tuple[int, ...]) -> ir.Value:
    """The scale or bias in x's type, as (1, channels, 1, ...).  In 16 bits behind a Cast it may be; it is small."""
    value = node.inputs[place]
    tensor, channels = tensor_of(value), shape[1]
    if value is None or tensor is None or tensor.size != channels:
        name, size = ("scale", "bias")[place - 1], "no constant" if tensor is None else f"{tensor.size} numbers"
        raise BadModel(
            f"GroupNormalization {node.outputs[0].name} can't be taken apart: its {name} is {size}, "
            f"not one number for each of {channels} channels"
        )
    return shared_constant(model, f"{value.name}.column.{len(shape)}", tensor.numpy().astype(kind).reshape(shape))
