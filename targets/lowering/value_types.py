"""The types of values for which a graph does not say them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...runtime.errors import BadModel

if TYPE_CHECKING:
    import onnx_ir as ir


def fill_types(model: ir.Model) -> int:
    """Give a type to every value without one, which rewrites leave behind; returns how many got one.

    Raises BadModel where the type does not follow from what a node reads.
    """
    opset, count = model.graph.opset_imports[""], 0
    for node in model.graph:
        for place, output in enumerate(node.outputs):
            if output.dtype is None and output.name:
                output.dtype = _type_of(node, place, opset)
                count += 1
    return count


def _type_of(node: ir.Node, place: int, opset: int) -> ir.DataType:
    import onnx_ir as ir

    given = [None if value is None else value.dtype for value in node.inputs]
    if node.op_type == "Cast":
        return ir.DataType(node.attributes["to"].as_int())
    if node.op_type == "QuantizeLinear" and len(given) < 3:
        return ir.DataType.UINT8
    found = _by_schema(node, place, given, opset)
    if found is None:
        raise BadModel(f"the graph does not say the type of {node.outputs[place].name}, made by {node.op_type}")
    return found


def _by_schema(node: ir.Node, place: int, given: list[ir.DataType | None], opset: int) -> ir.DataType | None:
    """The type of an input for which ONNX has the same word as for the output, or the only one that it allows."""
    import onnx_ir as ir
    from onnx import defs

    if node.op_type == "DequantizeLinear":
        return given[1]  # the output has a word of its own since opset 23
    if not defs.has(node.op_type, node.domain):
        return next((kind for kind in given if kind is not None), None)  # ONNX Runtime's own, by their first input
    schema = defs.get_schema(node.op_type, opset, node.domain)
    words = [parameter.type_str for parameter in schema.inputs]
    word = schema.outputs[min(place, len(schema.outputs) - 1)].type_str
    for allowed in (each.allowed_type_strs for each in schema.type_constraints if each.type_param_str == word):
        if len(allowed) == 1:
            return ir.DataType[next(iter(allowed)).removeprefix("tensor(").removesuffix(")").upper()]
    same = (kind for slot, kind in enumerate(given) if kind is not None and words[min(slot, len(words) - 1)] == word)
    return next(same, None)
