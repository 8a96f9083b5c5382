"""To which block of its network each node of a graph belongs.

Weights keep the names that the checkpoint has for them, and a node that reads one belongs to the layer which that name
says: down_blocks.0.resnets.0.conv1.weight is of ("down_blocks.0", "resnets.0", "conv1").  The others go by their
neighbours:

1. A product with a weight whose name was lost (the exporter turns the weights of linear layers over, and calls the
   result something of its own) is of the layer whose bias is added to it.  Where none is, it is of the block around the
   first layer behind it: to_q, to_k and to_v, which lead to to_out, are of attn1.
   A parameter that several nodes read says nothing: equal ones may have been stored once, under one of their names.
2. A node without a weight is of the innermost block that holds both the last layer before it and the first one behind
   it: attention's product lies between to_v and to_out, so in attn1; the activation between norm1 and conv1 in their
   resnet; a sum at the end of a resnet in the block of that resnet and the next one.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from .graph import CONSTANT, Node

Block = tuple[str, ...]

# How stored tensors are called after their layer: by the checkpoint, or by a scheme that took the weight apart.
_PARAMETER = re.compile(
    r"(?:network\.)?(?P<layer>\w+(?:\.\w+)*?)\.(?P<role>weight|bias|codes|scales|zero_points|absmax)(?:[._].*)?"
)
_BIAS = "bias"
_NUMBER = re.compile(r"\d+")
# These only say what shape something has, and belong to no layer by what they read.
_SHAPES = {"Shape", "ShapeOf"}
# What these make is their first input's content.
_KEEPING = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Convert", "Cast", "Broadcast", "Expand", "ConvertLike"}
_NORMS = {"MVN"}  # the part of a norm that its weight comes behind
PRODUCTS = {"MatMul", "Gemm", "Conv", "Convolution", "GroupConvolution", "MatMulNBits", "MatMulBnb4", "Gather"}


def path_of(layer: str) -> Block:
    """The levels of a layer's name: down_blocks.0.conv -> ("down_blocks.0", "conv")."""
    levels: list[str] = []
    for word in layer.split("."):
        if levels and _NUMBER.fullmatch(word):
            levels[-1] += f".{word}"
        else:
            levels.append(word)
    return tuple(levels)


def common(blocks: Iterable[Block]) -> Block:
    """The innermost block that holds them all."""
    shared = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*blocks, strict=False))
    return tuple(names[0] for names in shared)


def blocks_of(nodes: Sequence[Node]) -> tuple[dict[str, Block], set[str]]:
    """Of each node that is no constant, by name; and which nodes have a layer of their own, by a weight.

    nodes: each behind those that it reads.
    """
    layers = _Layers(nodes)
    reach = _Reach(nodes, layers.passive)
    ends = reach.nearest(layers.named)
    placed = dict(layers.named)
    for name in layers.unnamed:
        before, behind = ends[name]
        nearest = behind or before
        placed[name] = layers.named[nearest][:-1] if nearest else ()
    found = dict(placed)
    norms, products = ({node.name for node in nodes if node.kind in kinds} for kinds in (_NORMS, PRODUCTS))
    for name, pair in reach.nearest(placed).items():
        if name in placed:
            continue
        if name in norms and pair[1] and pair[1] not in products:
            found[name] = placed[pair[1]]
        else:
            around = [placed[end] for end in pair if end]
            found[name] = common(around) if len(around) == 2 else around[0][:-1] if around else ()
    return found, set(placed)


class _Layers:
    """named: the block of each node that reads a layer's parameter.  unnamed: products with a nameless weight.

    passive: constants, and what only converts them or asks for shapes.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        carried = _carried(nodes)
        self.passive = set(carried) | {node.name for node in nodes if node.kind in _SHAPES}
        active = [node for node in nodes if node.name not in self.passive]
        read = {node.name: _read(node, carried) for node in active}
        counts = Counter(name for names in read.values() for name in names)
        self.named: dict[str, Block] = {}
        self.unnamed: list[str] = []
        biases: dict[str, Block] = {}
        for node in active:
            names = sorted(name for name in read[node.name] if counts[name] == 1)
            if found := [match for match in map(_PARAMETER.fullmatch, names) if match]:
                self.named[node.name] = common(path_of(match["layer"]) for match in found)
                if node.kind == "Add" and all(match["role"] == _BIAS for match in found):
                    biases[node.name] = self.named[node.name]
            elif node.kind in PRODUCTS and read[node.name]:
                self.unnamed.append(node.name)
        readers = _readers({node.name: node.inputs for node in active})
        for name in list(self.unnamed):
            after = readers.get(name, [])
            if len(after) == 1 and after[0] in biases:
                self.named[name] = biases[after[0]]
                self.unnamed.remove(name)


def _carried(nodes: Sequence[Node]) -> dict[str, frozenset[str]]:
    """The constants whose content a node holds, of each that holds nothing else."""
    found: dict[str, frozenset[str]] = {}
    for node in nodes:
        if node.kind == CONSTANT:
            found[node.name] = frozenset((node.name,))
        elif node.inputs and (
            all(name in found for name in node.inputs) or (node.kind in _KEEPING and node.inputs[0] in found)
        ):
            found[node.name] = _read(node, found)
    return found


def _read(node: Node, carried: Mapping[str, frozenset[str]]) -> frozenset[str]:
    return frozenset[str]().union(*(carried[name] for name in node.inputs if name in carried))


def _readers(inputs: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, sources in inputs.items():
        for source in sources:
            found.setdefault(source, []).append(name)
    return found


class _Reach:
    """Which layers come last before a node, and first behind it, counted in nodes from the network's inputs."""

    def __init__(self, nodes: Sequence[Node], passive: set[str]) -> None:
        active = [node for node in nodes if node.name not in passive]
        self._inputs = {node.name: [name for name in node.inputs if name not in passive] for node in active}
        self._readers = _readers(self._inputs)
        self._level: dict[str, int] = {}
        for name, inputs in self._inputs.items():
            self._level[name] = 1 + max((self._level[before] for before in inputs), default=0)

    def nearest(self, layers: Mapping[str, Block]) -> dict[str, tuple[str | None, str | None]]:
        """Of each node those of `layers`; None where there is none on that side."""
        before = self._walk(list(self._inputs), self._inputs, layers, last=True)
        behind = self._walk(list(reversed(self._inputs)), self._readers, layers, last=False)
        return {name: (before[name], behind[name]) for name in self._inputs}

    def _walk(
        self, order: Sequence[str], sources: Mapping[str, list[str]], layers: Mapping[str, Block], last: bool
    ) -> dict[str, str | None]:
        found: dict[str, str | None] = {}
        for name in order:
            ends = {source if source in layers else found[source] for source in sources.get(name, [])}
            ranked = sorted((self._level[end], end) for end in ends if end is not None)
            found[name] = None if not ranked else ranked[-1 if last else 0][1]
        return found
