"""ONNX's whole Attention, taken apart again for engines whose reader does not know it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.errors import BadModel
from .constants import shared_constant

if TYPE_CHECKING:
    import onnx_ir as ir

OPERATOR = "Attention"
# Finite, in float16 too: with -inf a row that is masked all over would be NaN; exp() of either is 0.
LOWEST = -65504.0
SCORES = "qk_matmul_output_mode"  # what the fourth output gives, which nobody reads
DECOMPOSABLE = "TRT_decomposable"  # attribute of TensorRT's parser: one fused kernel, or several where none fits
PLAIN = ("q_num_heads", "kv_num_heads", "scale", "is_causal")  # attributes that can have any value


def let_take_apart(model: ir.Model) -> int:
    """Attention(Q, K, V) -> Attention(Q, K, V; TRT_decomposable = 1)

    For TensorRT alone, whose parser else asks for a fused kernel, and whose build fails where there is none, as for the
    single wide head of a VAE (its 10.14 sources; NvInfer.h, IAttention::setDecomposable).
    """
    import onnx_ir as ir

    count = 0
    for node in model.graph:
        if node.op_type == OPERATOR and node.domain == "" and DECOMPOSABLE not in node.attributes:
            node.attributes.add(ir.AttrInt64(DECOMPOSABLE, 1))
            count += 1
    return count


def take_apart_attention(model: ir.Model) -> int:
    """Attention(Q, K, V, mask) -> MatMul(Softmax(Where(mask, MatMul(Q * s, Transpose(K) * s), lowest)), V)

    s: the root of the scale, on both sides as ONNX has it, so that float16 reaches.  A mask of floats is added.  All is
    computed in Q's type.  A row that is masked all over gives the mean of V, where ONNX gives 0.
    Raises BadModel for a cache of keys, shared heads, soft caps, and other forms that no diffusion model has.
    """
    import onnx_ir as ir

    count = 0
    for node in list(model.graph):
        if node.op_type != OPERATOR or node.domain != "":
            continue
        problem = _problem(node)
        if problem is not None:
            raise BadModel(f"Attention {node.name or node.outputs[0].name} can't be taken apart: {problem}")
        nodes = _Nodes(model, node)
        made = _attend(nodes, _setting(node, "is_causal", 0) == 1)
        ir.convenience.replace_nodes_and_values(model.graph, node, [node], nodes.made, node.outputs[:1], [made])
        count += 1
    return count


class _Nodes:
    """What stands in an Attention's place, in its type and under its name."""

    def __init__(self, model: ir.Model, node: ir.Node) -> None:
        self.model, self.node = model, node
        self.made: list[ir.Node] = []
        self.name = str(node.outputs[0].name)  # a node's own name may be empty, and shared
        self.query, self.key, self.value = (given for given in node.inputs[:3] if given is not None)
        assert self.query.dtype is not None
        self.kind = self.query.dtype

    def add(self, op_type: str, *inputs: ir.Value, kind: ir.DataType | None = None, **attributes: Any) -> ir.Value:
        """The output of a new node.  kind: of its type, the Attention's own where it is left out."""
        import onnx_ir as ir

        made = ir.node(op_type, list(inputs), attributes, name=f"{self.name}.{op_type}.{len(self.made)}")
        made.outputs[0].name, made.outputs[0].dtype = f"{made.name}.output", kind or self.kind
        self.made.append(made)
        return made.outputs[0]

    def number(self, number: float) -> ir.Value:
        """A constant of the Attention's type, without dimensions."""
        return self.constant(f"number.{number}", np.array(number, self.kind.numpy()))

    def constant(self, name: str, array: np.ndarray) -> ir.Value:
        return shared_constant(self.model, f"{self.name}.{name}", array)

    def heads(self, value: ir.Value, heads: int) -> ir.Value:
        """(batch, tokens, heads * size) -> (batch, heads, tokens, size)"""
        split = self.add("Reshape", value, self.constant(f"heads.{heads}", np.array([0, 0, heads, -1])))
        return self.add("Transpose", split, perm=[0, 2, 1, 3])


def _attend(nodes: _Nodes, causal: bool) -> ir.Value:
    flat = _rank(nodes.query) == 3
    query, key, value = nodes.query, nodes.key, nodes.value
    if flat:
        count = _setting(nodes.node, "q_num_heads", 0)
        query, key, value = (nodes.heads(given, count) for given in (query, key, value))
    root = nodes.number(math.sqrt(_setting(nodes.node, "scale", 1 / math.sqrt(_head_size(nodes.node)))))
    turned = nodes.add("Transpose", key, perm=[0, 1, 3, 2])
    scores = nodes.add("MatMul", nodes.add("Mul", query, root), nodes.add("Mul", turned, root))
    masks = [] if len(nodes.node.inputs) < 4 else [nodes.node.inputs[3]]
    for mask in (*masks, _lower_triangle(nodes) if causal else None):
        if mask is not None and mask.dtype is not None:
            boolean = mask.dtype.name == "BOOL"
            where = ("Where", mask, scores, nodes.number(LOWEST)) if boolean else ("Add", scores, mask)
            scores = nodes.add(*where)
    mixed = nodes.add("MatMul", nodes.add("Softmax", scores, axis=-1), value)
    if flat:
        flatter = nodes.constant("flat", np.array([0, 0, -1]))
        mixed = nodes.add("Reshape", nodes.add("Transpose", mixed, perm=[0, 2, 1, 3]), flatter)
    mixed.shape = nodes.node.outputs[0].shape
    return mixed


def _lower_triangle(nodes: _Nodes) -> ir.Value:
    """Which keys a query may see: those up to its own place.  A constant where the numbers of tokens are."""
    import onnx_ir as ir

    sides = [_dim(given, -2) for given in (nodes.query, nodes.key)]
    if None not in sides:
        rows, columns = (int(side) for side in sides if side is not None)
        return nodes.constant("causal", np.tri(rows, columns, dtype=np.bool_))
    zero, one = (nodes.constant(f"places.{number}", np.array(number)) for number in (0, 1))
    int64, places = ir.DataType.INT64, []
    for given, across in ((nodes.query, 1), (nodes.key, 0)):
        axis = _rank(given) - 2
        length = nodes.add("Shape", given, kind=int64, start=axis, end=axis + 1)
        length = nodes.add("Squeeze", length, kind=int64)
        line = nodes.add("Range", zero, length, one, kind=int64)
        along = nodes.constant(f"axis.{across}", np.array([across]))
        places.append(nodes.add("Unsqueeze", line, along, kind=int64))
    return nodes.add("LessOrEqual", places[1], places[0], kind=ir.DataType.BOOL)


def _problem(node: ir.Node) -> str | None:
    """What is not understood."""
    import onnx_ir as ir

    query, mask = node.inputs[0], node.inputs[3] if len(node.inputs) > 3 else None
    if query is None or query.dtype is None or _rank(query) not in (3, 4):
        return "queries of known type and 3 or 4 dimensions are wanted"
    if any(value is not None for value in node.inputs[4:]):
        return "a cache of keys and values is not understood"
    if any(output.uses() or output.is_graph_output() for output in node.outputs[1:]):
        return "only its first output is understood"
    if mask is not None and mask.dtype not in (ir.DataType.BOOL, query.dtype):
        return f"its mask must be of booleans or of {query.dtype.name}"
    heads = [count for count in _heads(node) if count]
    if len(set(heads)) > 1:
        return f"{heads[0]} heads of queries that share {min(heads)} of keys are not understood"
    if not _head_size(node):
        return "the size of its heads is not known"
    for attribute in set(node.attributes) - {*PLAIN, SCORES}:
        asked = _setting(node, attribute, 0)
        if asked and not (attribute == "softmax_precision" and asked == query.dtype):
            return f"{attribute} {asked} is not understood"
    return None


def _heads(node: ir.Node) -> list[int | None]:
    """Of queries, keys and values, where they are known."""
    if _rank(node.inputs[0]) == 3:
        return [_setting(node, name, None) for name in ("q_num_heads", "kv_num_heads")]
    return [_dim(given, 1) for given in node.inputs[:3]]


def _head_size(node: ir.Node) -> int:
    """0 where it is not known."""
    width = _dim(node.inputs[0], -1) or 0
    return width // (_heads(node)[0] or width + 1) if _rank(node.inputs[0]) == 3 else width


def _rank(value: ir.Value | None) -> int:
    return 0 if value is None or value.shape is None else len(value.shape)


def _dim(value: ir.Value | None, axis: int) -> int | None:
    if value is None or value.shape is None:
        return None
    dim = value.shape[axis]
    return dim if isinstance(dim, int) else None


def _setting(node: ir.Node, name: str, default: Any) -> Any:
    return node.attributes[name].value if name in node.attributes else default
