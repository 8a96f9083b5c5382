"""Linear layers around a weight: who multiplies by it, and another operator in their place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

DOMAIN = "com.microsoft"


def linear_readers(weight: ir.Value, turned: bool) -> list[ir.Node]:
    """Every MatMul and plain Gemm that multiplies by the weight; none at all where anything else reads it.

    turned: the weight is (in, out), else (out, in).
    """
    found = list(_readers(weight, turned))
    return [] if None in found else [node for node in found if node is not None]


def replace_linear(
    model: ir.Model, node: ir.Node, op_type: str, constants: Sequence[ir.Value], attributes: Mapping[str, Any]
) -> None:
    """MatMul(x, W) -> Op(x, constants), of ONNX Runtime's own operators; Gemm(x, W, b) -> Add(Op(x, constants), b)

    What W was made of leaves the graph with its last reader.
    """
    import onnx_ir as ir

    given, weight = node.inputs[:2]
    unique = node.outputs[0].name  # a node's own name may be empty, and shared
    made = ir.node(op_type, [given, *constants], attributes, domain=DOMAIN, name=f"{unique}.{op_type}")
    added = [made]
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        added.append(ir.node("Add", [made.outputs[0], node.inputs[2]], name=f"{unique}.bias"))
        made.outputs[0].name = f"{made.name}.output"
    model.graph.opset_imports[DOMAIN] = 1
    ir.convenience.replace_nodes_and_values(model.graph, node, [node], added, node.outputs, added[-1].outputs)
    if weight is not None:
        _remove_unread(model, weight)


def lazy_constant(
    model: ir.Model, name: str, dtype: str, shape: Sequence[int], convert: Callable[[], np.ndarray]
) -> ir.Value:
    """A new initializer that is computed when it is written, so that one at a time is in memory.

    dtype: as ONNX spells it ("UINT8").
    """
    import onnx_ir as ir

    kind, dims = ir.DataType[dtype], ir.Shape(list(shape))

    def made() -> ir.Tensor:
        return ir.Tensor(np.ascontiguousarray(convert()).reshape(tuple(shape)), dtype=kind, name=name)

    tensor = ir.LazyTensor(made, dtype=kind, shape=dims, name=name)
    value = ir.Value(name=name, type=ir.TensorType(kind), shape=dims, const_value=tensor)
    model.graph.register_initializer(value)
    return value


def constant_of(value: ir.Value | None) -> ir.TensorProtocol | None:
    """The tensor of an initializer; None for all else."""
    if value is None or not value.is_initializer() or value.is_graph_input():
        return None
    return value.const_value


def _readers(value: ir.Value, turned: bool) -> Iterator[ir.Node | None]:
    """None for each reader that is no linear layer."""
    if value.is_graph_output():
        yield None
    for use in value.uses():
        node = use.node
        if node.op_type == "Transpose" and _swaps(node):
            yield from _readers(node.outputs[0], not turned)
        elif use.idx == 1 and ((node.op_type == "MatMul" and turned) or _plain_gemm(node, turned)):
            yield node
        else:
            yield None


def _swaps(node: ir.Node) -> bool:
    return "perm" not in node.attributes or tuple(node.attributes["perm"].as_ints()) == (1, 0)


def _plain_gemm(node: ir.Node, turned: bool) -> bool:
    """Whether it is x @ W + b, with no factors."""
    if node.op_type != "Gemm":
        return False
    set_to = {name: attribute.value for name, attribute in node.attributes.items()}
    plain = (set_to.get("alpha", 1), set_to.get("beta", 1), set_to.get("transA", 0)) == (1, 1, 0)
    return plain and (set_to.get("transB", 0) == 1) != turned


def _remove_unread(model: ir.Model, value: ir.Value) -> None:
    if value.uses() or value.is_graph_output():
        return
    node = value.producer()
    if node is None:
        model.graph.initializers.pop(str(value.name), None)
        return
    inputs = [given for given in node.inputs if given is not None]
    model.graph.remove(node, safe=True)
    for given in inputs:
        _remove_unread(model, given)
