"""An artifact's graph in one small form, whatever wrote it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...runtime.errors import BundleCorrupt, MissingPackage

CONSTANT = "Constant"


@dataclass(frozen=True)
class Node:
    """inputs: names of the nodes that it reads.  A constant is one without any, of the kind CONSTANT.

    outputs: other names by which an engine may know it.
    """

    name: str
    kind: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


def read_graph(artifact: Path) -> tuple[Node, ...]:
    """The nodes of an ONNX model or an OpenVINO IR, each behind those that it reads; no weights are read.

    Raises BundleCorrupt for another file, MissingPackage without what reads it.
    """
    readers = {".onnx": _read_onnx, ".xml": _read_ir}
    if artifact.suffix not in readers:
        raise BundleCorrupt(f"{artifact.name}: operators can't be read of it, only of {' and '.join(readers)}")
    return tuple(readers[artifact.suffix](artifact))


def _read_onnx(artifact: Path) -> Sequence[Node]:
    try:
        import onnx
    except ImportError as reason:
        raise MissingPackage('--profile needs onnx; pip install "aquatint[bench]"') from reason
    graph = onnx.load(artifact, load_external_data=False).graph
    found = [Node(tensor.name, CONSTANT) for tensor in graph.initializer]
    maker = {node.name: node.name for node in found}
    found += [Node(value.name, "Parameter") for value in graph.input if value.name not in maker]
    maker |= {node.name: node.name for node in found}
    taken = set(maker)
    for made in graph.node:
        name = made.name if made.name and made.name not in taken else made.output[0]
        taken.add(name)
        inputs = tuple(dict.fromkeys(maker[value] for value in made.input if value in maker))
        found.append(Node(name, made.op_type, inputs, tuple(made.output)))
        maker |= dict.fromkeys(made.output, name)
    return found


def _read_ir(artifact: Path) -> Sequence[Node]:
    try:
        import openvino
    except ImportError as reason:
        raise MissingPackage('this needs openvino; pip install "aquatint[openvino]"') from reason
    found = []
    for op in openvino.Core().read_model(artifact).get_ordered_ops():
        inputs = [op.input_value(i).get_node().get_friendly_name() for i in range(op.get_input_size())]
        found.append(Node(op.get_friendly_name(), op.get_type_name(), tuple(dict.fromkeys(inputs))))
    return found
