"""Products of an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime.errors import BadModel
from .work import Product, Shape, Type, attention, convolution, matrix_product

if TYPE_CHECKING:
    import onnx_ir as ir

PACKED = ("MatMulNBits", "MatMulBnb4")
SHAPE_KEEPING = ("GroupNormalization", "LayerNormalization", "InstanceNormalization", "Gelu")
MOVING = {"Reshape", "Transpose", "Unsqueeze", "Squeeze", "Split", "Slice", "Concat"}
UNPACKING = {"Cast", "DequantizeLinear", "Mul", "Sub", "Constant"}
WEIGHTS = "packed weights"


def onnx_products(artifact: Path, shapes: Mapping[str, Shape], math_type: Type) -> Iterator[Product]:
    """shapes: of the inputs, by name.  math_type: of what is not computed in integers.

    Reads no weights but the few numbers that shapes are computed from.  Raises BadModel where a shape can't be told.
    """
    import onnx_ir as ir
    from onnxscript.optimizer import fold_constants

    model = ir.load(artifact)
    for value in model.graph.inputs:
        value.shape = ir.Shape(shapes[str(value.name)])
    for node in model.graph:
        for value in node.outputs:
            value.shape = None  # as of any size, which would stand in the way of these
    for node in list(model.graph):
        _plain(model.graph, node)
    fold_constants(model, onnx_shape_inference=True)
    for node in model.graph:
        if node.op_type in ("Conv", "MatMul", "Gemm", "Attention"):
            yield _product(node, math_type)


def _product(node: ir.Node, math_type: Type) -> Product:
    first, second = (_shape(node, value) for value in node.inputs[:2])
    if node.op_type == "Conv":
        return Product("convolution", _type(node, math_type), convolution(_shape(node, node.outputs[0]), second))
    if node.op_type == "Attention":
        return Product("attention", math_type, attention(*_heads(node, first, second, _shape(node, node.inputs[2]))))
    inner = first[0] if node.op_type == "Gemm" and _number(node, "transA") else first[-1]
    linear = any(_is_constant(value) for value in node.inputs[:2])
    operations = matrix_product(_shape(node, node.outputs[0]), inner)
    return Product("linear" if linear else "attention", _type(node, math_type), operations)


def _heads(node: ir.Node, query: Shape, key: Shape, value: Shape) -> tuple[Shape, Shape, Shape]:
    """Attention takes (batch, tokens, heads * width) too."""
    if len(query) == 4:
        return query, key, value
    heads, others = _number(node, "q_num_heads"), _number(node, "kv_num_heads")

    def split(shape: Shape, parts: int) -> Shape:
        return shape[0], parts, shape[1], shape[2] // parts

    return split(query, heads), split(key, others), split(value, others)


def _shape(node: ir.Node, value: ir.Value | None) -> Shape:
    dims = None if value is None or value.shape is None else tuple(value.shape)
    if value is None or dims is None or not all(isinstance(dim, int) for dim in dims):
        raise BadModel(f"{node.op_type} {node.name}: the shape of {value and value.name} can't be told from the graph")
    return tuple(int(dim) for dim in dims)  # type: ignore[arg-type]


def _type(node: ir.Node, math_type: Type) -> Type:
    """i8 where both of the factors come from integers of 8 bits."""
    return "i8" if all(_rounds(value) for value in node.inputs[:2]) else math_type


def _rounds(value: ir.Value | None) -> bool:
    node = value.producer() if value else None
    while node is not None and node.op_type in (*MOVING, "Cast"):
        node = node.inputs[0].producer() if node.inputs[0] else None
    if node is None or node.op_type != "DequantizeLinear" or node.inputs[0] is None:
        return False
    codes = node.inputs[0]
    return codes.producer() is not None or str(codes.dtype) in ("INT8", "UINT8")


def _is_constant(value: ir.Value | None) -> bool:
    while value is not None and value.const_value is None:
        node = value.producer()
        if node is None or node.op_type not in (*MOVING, *UNPACKING):
            return bool(value.name and value.name.startswith(WEIGHTS))
        value = node.inputs[0]
    return value is not None


def _number(node: ir.Node, name: str) -> int:
    found = node.attributes.get(name)
    return found.as_int() if found is not None else 0


def _plain(graph: ir.Graph, node: ir.Node) -> None:
    """What ONNX infers no shape for, in other words: packed products -> MatMul, and norms -> Identity.

    Only shapes are right afterwards.
    """
    import onnx_ir as ir

    # Made by no exporter, packed products may come without a type.
    type_ = node.outputs[0].type or (node.inputs[0].type if node.inputs and node.inputs[0] else None)
    if node.op_type in PACKED:
        size = ir.Shape((_number(node, "K"), _number(node, "N")))
        weights = ir.Value(name=WEIGHTS, shape=size, type=type_)
        plain = ir.node("MatMul", [node.inputs[0], weights], name=node.name)
    elif node.op_type in SHAPE_KEEPING:
        plain = ir.node("Identity", [node.inputs[0]], name=node.name)
    else:
        return
    graph.insert_after(node, plain)
    plain.outputs[0].type = type_
    node.outputs[0].replace_all_uses_with(plain.outputs[0], replace_graph_outputs=True)
    graph.remove(node)
