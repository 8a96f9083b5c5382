"""Products of an OpenVINO IR."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .work import Product, Shape, Type, attention, convolution, matrix_product

# What stands between weights and the layer that they belong to.
UNPACKING = {"Convert", "Multiply", "Subtract", "Reshape", "Transpose", "FakeQuantize", "Unsqueeze", "Squeeze"}
MOVING = {"Reshape", "Transpose", "Unsqueeze", "Squeeze", "Split", "VariadicSplit", "Slice", "Concat", "StridedSlice"}


def openvino_products(artifact: Path, shapes: Mapping[str, Shape], math_type: Type) -> Iterator[Product]:
    """shapes: of the inputs, by name.  math_type: of what is not computed in integers."""
    import openvino

    model = openvino.Core().read_model(artifact)
    model.reshape({name: list(shape) for name, shape in shapes.items()})
    for op in model.get_ops():
        found = _product(op, math_type)
        if found is not None:
            yield found


def _product(op: Any, math_type: Type) -> Product | None:
    kind = op.get_type_name()
    if kind in ("Convolution", "GroupConvolution"):
        weights = _shape(op.input_value(1))
        # Grouped ones are (groups, out / groups, in / groups, ...).
        weights = weights[1:] if kind == "GroupConvolution" else weights
        return Product("convolution", _type(op, math_type), convolution(_shape(op.output(0)), weights))
    if kind == "MatMul":
        first = _shape(op.input_value(0))
        inner = first[-2] if op.get_attributes()["transpose_a"] and len(first) > 1 else first[-1]
        linear = any(_is_constant(op.input_value(index)) for index in (0, 1))
        operations = matrix_product(_shape(op.output(0)), inner)
        return Product("linear" if linear else "attention", _type(op, math_type), operations)
    if kind == "ScaledDotProductAttention":
        query, key, value = (_shape(op.input_value(index)) for index in range(3))
        return Product("attention", math_type, attention(query, key, value))
    return None


def _type(op: Any, math_type: Type) -> Type:
    """i8 where both of the factors are rounded to integers."""
    return "i8" if all(_rounds(op.input_value(index)) for index in (0, 1)) else math_type


def _rounds(value: Any) -> bool:
    """Whether it is of integers of 8 bits, or a constant that is stored so."""
    node = value.get_node()
    while node.get_type_name() in MOVING or _unpacks(node):
        node = node.input_value(0).get_node()
    if node.get_type_name() == "Constant":
        return node.get_element_type().to_string() in ("i8", "u8")
    return bool(node.get_type_name() == "FakeQuantize")


def _unpacks(node: Any) -> bool:
    """A step from codes to numbers; a product or difference of two that are both computed is none."""
    kind = node.get_type_name()
    return kind == "Convert" or (kind in ("Multiply", "Subtract") and _is_constant(node.input_value(1)))


def _is_constant(value: Any) -> bool:
    node = value.get_node()
    while node.get_type_name() in UNPACKING:
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def _shape(value: Any) -> Shape:
    return tuple(value.get_shape())
