"""The constants of a graph: read through a Cast, and shared by all that ask for the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .linear import constant_of

if TYPE_CHECKING:
    import onnx_ir as ir


def stored(value: ir.Value | None) -> ir.Value | None:
    """The initializer that a value is, or is the Cast of; None for all else.

    Weights in 16 bits stand behind a Cast to float32.
    """
    node = None if value is None else value.producer()
    source = node.inputs[0] if node is not None and node.op_type == "Cast" else value
    return source if constant_of(source) is not None else None


def tensor_of(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The numbers of such a value, as they are stored."""
    return constant_of(stored(value))


def shared_constant(model: ir.Model, name: str, array: np.ndarray) -> ir.Value:
    """An initializer of that name, made where there is none.  It is for small ones, which stay in memory."""
    import onnx_ir as ir

    held = model.graph.initializers.get(name)
    if held is None:
        tensor = ir.Tensor(array, name=name)
        held = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
        model.graph.register_initializer(held)
    return held
