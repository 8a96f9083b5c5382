"""The layers of a graph whose weights can take fewer bits, by their names in torch."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..runtime.errors import BadModel

if TYPE_CHECKING:
    import onnx_ir as ir

KINDS = ("linear", "conv")
_SCOPES = "pkg.torch.onnx.name_scopes"  # what torch's exporter says of each node
_FLOATS = ("FLOAT", "FLOAT16", "BFLOAT16")
_FLOAT32 = 1  # as ONNX numbers its types
# What compile/export.py puts a network under, and what Transformers puts a text encoder under in some versions.
_ROOTS = ("network.", "text_model.")


@dataclass(frozen=True)
class Layer:
    """A linear layer or a convolution.

    name: torch's, dotted; text encoders' without the text_model that Transformers has before it, and has not.
    shape: torch's, (out, in) or (out, in / groups, height, width).
    weight: its initializer's name.  turned: stored as (in, out), as a MatMul wants it.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    weight: str
    turned: bool = False

    @property
    def parameters(self) -> int:
        return math.prod(self.shape)


def find_layers(model: ir.Model) -> list[Layer]:
    """Every layer of a float32 graph, in its order; those quantized already are none.

    A weight is an initializer, or one behind a Cast from 16 bits, that nothing but MatMul, Gemm and Conv reads.
    Raises BadModel where the graph computes in 16 bits: its weights would be rounded twice.
    """
    layers: dict[str, Layer] = {}
    for node in model.graph:
        weight = _initializer(node.inputs[1]) if node.op_type in ("MatMul", "Gemm", "Conv") else None
        layer = None if weight is None or weight.name in layers else _layer(node, weight)
        if layer is not None:
            layers[layer.weight] = layer
    return _distinct(layers.values())


def _initializer(value: ir.Value | None) -> ir.Value | None:
    """The initializer a value is made of by Cast and Transpose alone."""
    while value is not None and not value.is_initializer():
        node = value.producer()
        value = node.inputs[0] if node is not None and node.op_type in ("Cast", "Transpose") else None
    if value is None or value.const_value is None or value.const_value.dtype.name not in _FLOATS:
        return None
    return value


def _layer(node: ir.Node, weight: ir.Value) -> Layer | None:
    tensor = weight.const_value
    assert tensor is not None
    readings = set(_readings(weight, False))
    shape = tuple(int(dim) for dim in tensor.shape.numpy())
    reading = readings.pop()
    outside = weight.is_graph_input() or weight.is_graph_output()
    if readings or reading is None or outside or math.prod(shape) == 0:
        return None
    kind, turned = reading
    if (len(shape) == 2) != (kind == "linear"):
        return None
    name = _name(node, weight)
    if tensor.dtype.name != "FLOAT" and not all(widens(use.node) for use in weight.uses()):
        raise BadModel(f"{name} computes in {tensor.dtype.name}; quantization starts from a float32 graph")
    return Layer(name, kind, shape[::-1] if turned else shape, str(weight.name), turned)


def _readings(value: ir.Value, flipped: bool) -> Iterator[tuple[str, bool] | None]:
    """What each reader takes the value for: (kind, stored as (in, out)), or None for none of ours."""
    for use in value.uses():
        node, place = use.node, use.idx
        if node.op_type == "Cast" and not node.outputs[0].is_graph_output():
            yield from _readings(node.outputs[0], flipped)
        elif node.op_type == "Transpose" and _perm(node) == (1, 0):
            yield from _readings(node.outputs[0], not flipped)
        elif node.op_type == "MatMul" and place == 1:
            yield "linear", not flipped
        elif node.op_type == "Gemm" and place == 1:
            yield "linear", _flag(node, "transB") == flipped
        elif node.op_type == "Conv" and place == 1 and not flipped:
            yield "conv", False
        else:
            yield None


def _flag(node: ir.Node, name: str) -> bool:
    return name in node.attributes and node.attributes[name].as_int() == 1


def _perm(node: ir.Node) -> tuple[int, ...]:
    return tuple(node.attributes["perm"].as_ints()) if "perm" in node.attributes else (1, 0)


def widens(node: ir.Node) -> bool:
    """Whether it is a Cast to float32."""
    return node.op_type == "Cast" and node.attributes["to"].as_int() == _FLOAT32


def _name(node: ir.Node, weight: ir.Value) -> str:
    name = _full_name(node, weight)
    for root in _ROOTS:
        name = name.removeprefix(root)
    return name


def _full_name(node: ir.Node, weight: ir.Value) -> str:
    """From the weight's own name where it has one, else from the scope of the node that reads it."""
    stored = str(weight.name)
    for suffix in ("_fp16", "_bf16"):  # of compile/passes/store_weights.py
        stored = stored.removesuffix(suffix)
    if stored.endswith(".weight"):
        return stored.removesuffix(".weight")
    scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
    if len(scopes) > 1 and scopes[-2]:
        return str(scopes[-2])
    parts = str(node.name).strip("/").split("/")  # /down_blocks.0/attentions.0/to_q/MatMul, from torch's old exporter
    if len(parts) > 1 and re.fullmatch(r"(MatMul|Gemm|Conv)(_\d+)?", parts[-1]):
        return ".".join(parts[:-1])
    return stored


def _distinct(layers: Iterable[Layer]) -> list[Layer]:
    """Two weights of one module, which no model of ours has, are told apart by number."""
    seen: dict[str, int] = {}
    found = []
    for layer in layers:
        count = seen[layer.name] = seen.get(layer.name, 0) + 1
        found.append(layer if count == 1 else replace(layer, name=f"{layer.name}#{count}"))
    return found
