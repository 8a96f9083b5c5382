"""What the exporter wrote about where each node comes from: the paths and lines of the build machine's sources."""

from __future__ import annotations

import onnx_ir as ir


def drop_metadata(model: ir.Model) -> int:
    """Node {pkg.torch.onnx.stack_trace: "File ..."} -> Node {}; the same for values, functions and doc strings."""
    count = _clear(model) + _clear(model.graph)
    for value in (*model.graph.inputs, *model.graph.initializers.values()):
        count += _clear(value)
    for node in model.graph.all_nodes():
        count += _clear(node) + sum(_clear(output) for output in node.outputs)
    return count


def _clear(part: ir.Model | ir.Graph | ir.Node | ir.Value) -> int:
    """Whether there was anything."""
    had = bool(part.metadata_props) or bool(part.doc_string)
    part.metadata_props.clear()
    part.doc_string = None
    return int(had)
