"""Take a layer's weight out of a graph, and put nodes in its place that give it back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..runtime.errors import BadModel
from .layers import Layer, widens

if TYPE_CHECKING:
    import onnx_ir as ir

SCHEME = "aquatint.scheme"  # in the metadata of every node that a scheme adds
LAYER = "aquatint.layer"


def weight_tensor(model: ir.Model, layer: Layer) -> ir.TensorProtocol:
    """The layer's weight as it lies in the graph.  Raises ValueError where the graph no longer has it in floats."""
    value = model.graph.initializers.get(layer.weight)
    if value is None or value.const_value is None:
        raise ValueError(f"{layer.name}: the graph has no {layer.weight}; was the layer quantized already?")
    return value.const_value


def read_weight(tensor: ir.TensorProtocol, layer: Layer) -> np.ndarray:
    """float32, in torch's order; a view where it can be.  Raises BadModel for NaN and infinity."""
    array = tensor.numpy()
    weight = array.astype(np.float32, copy=False)
    # A sum is finite wherever all is, but for an overflow, which the slow question settles.
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(weight.sum()) or np.isfinite(weight).all()
    if not finite:
        raise BadModel(f"{layer.name} has NaN or infinite weights; it can't be quantized")
    return weight.T if layer.turned else weight


def initializer(model: ir.Model, name: str, array: np.ndarray) -> ir.Value:
    """A new constant, of the array's shape; a number stays without dimensions."""
    import onnx_ir as ir

    return _add(model, ir.Tensor(np.asarray(array, order="C"), name=name))


def lazy_initializer(
    model: ir.Model, name: str, dtype: str, shape: Sequence[int], convert: Callable[[], np.ndarray]
) -> ir.Value:
    """A new constant that is computed when it is written.

    dtype: as ONNX spells it ("INT8", "UINT4").  convert: gives it unpacked, in int8 or uint8.
    """
    import onnx_ir as ir

    kind = ir.DataType[dtype]

    def made() -> ir.TensorProtocol:
        array = np.ascontiguousarray(convert())
        if kind.bitwidth == 4:
            return ir.PackedTensor(pack(array), kind, shape=array.shape, name=name)
        return ir.Tensor(array, dtype=kind, name=name)

    return _add(model, ir.LazyTensor(made, dtype=kind, shape=ir.Shape(list(shape)), name=name))


def packed_initializer(model: ir.Model, name: str, dtype: str, codes: np.ndarray) -> ir.Value:
    """A new constant of 4-bit codes, which is kept in memory as it is stored.  dtype: "INT4" or "UINT4"."""
    import onnx_ir as ir

    return _add(
        model, ir.PackedTensor(pack(np.ascontiguousarray(codes)), ir.DataType[dtype], shape=codes.shape, name=name)
    )


def pack(codes: np.ndarray) -> np.ndarray:
    """Two 4-bit codes to the byte, the first in the low half, as ONNX stores them; an odd last one alone."""
    flat = codes.reshape(-1).view(np.uint8) & np.uint8(15)
    if flat.size % 2:
        flat = np.append(flat, np.uint8(0))
    low: np.ndarray = flat[::2] | (flat[1::2] << np.uint8(4))
    return low


def replace_weight(model: ir.Model, layer: Layer, scheme: str, nodes: Sequence[ir.Node]) -> None:
    """Let the last of `nodes` give what the float weight gave; the float weight leaves the graph."""
    import onnx_ir as ir

    old = model.graph.initializers[layer.weight]
    for index, node in enumerate(nodes):
        node.name = f"{layer.name}.{scheme}.{index}"
        node.metadata_props.update({SCHEME: scheme, LAYER: layer.name})
        for output in node.outputs:
            output.name = f"{node.name}.output"
    given = nodes[-1].outputs[0]
    given.dtype, given.shape = ir.DataType.FLOAT, old.shape
    for use in list(old.uses()):
        if not widens(use.node):
            use.node.replace_input_with(use.idx, given)
            continue
        widened = use.node.outputs[0]
        for reader in list(widened.uses()):
            reader.node.replace_input_with(reader.idx, given)
        model.graph.remove(use.node, safe=True)
    model.graph.initializers.pop(layer.weight)
    old.const_value = None
    model.graph.insert_before(model.graph[0], nodes)


def _add(model: ir.Model, tensor: ir.TensorProtocol) -> ir.Value:
    import onnx_ir as ir

    kind, shape = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy())
    value = ir.Value(name=tensor.name, type=kind, shape=shape, const_value=tensor)
    model.graph.register_initializer(value)
    return value
