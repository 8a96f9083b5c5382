"""To which block each node of an engine's own graph belongs."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ...runtime.session import NodeTime
from .blocks import PRODUCTS, Block, blocks_of, common
from .graph import Node

ATTENTION = {"Attention", "ScaledDotProductAttention", "MultiHeadAttention"}


@dataclass(frozen=True)
class Place:
    """attention: it computes one, or a part of one that the engine took apart."""

    block: Block
    attention: bool = False


def place(times: Sequence[NodeTime], artifact: Sequence[Node]) -> list[Place]:
    """Where each of `times` belongs, in their order.  artifact: the graph that the engine made its own of.

    A node that computes several of the artifact's is where the product among them is, such as the convolution with
    what was fused behind it; without one where a weight is read; else in the block that holds them all.
    One that computes none, such as a change of layout or a part of what the engine took apart, is for the first node
    that runs on what it gives and is known; at the end of the network, for the one before it.  But where a layer of the
    artifact that leads there was not run under its own name, it is for that: ONNX Runtime takes group norms apart.
    """
    layers = _Layers(artifact)
    computed = [layers.named(time.layers) for time in times]
    found = {i: layers.place(nodes) for i, nodes in enumerate(computed) if nodes}
    ran = {node.name for nodes in computed for node in nodes}
    lost = {i: layers.lost(nodes, ran) for i, nodes in enumerate(computed) if nodes}
    at: dict[str, int] = {}
    inputs: list[list[int]] = []
    for i, time in enumerate(times):
        inputs.append([at[name] for name in time.inputs if name in at])
        at[time.name] = i
    readers: list[list[int]] = [[] for _ in times]
    for i, sources in enumerate(inputs):
        for source in sources:
            readers[source].append(i)
    for i in reversed(range(len(times))):
        if i not in found and (known := [j for j in readers[i] if j in found]):
            first = min(known)
            found[i] = lost.get(first) or found[first]
    for i in range(len(times)):
        if i not in found and (known := [j for j in inputs[i] if j in found]):
            found[i] = found[max(known)]
    return [found.get(i, Place(())) for i in range(len(times))]


class _Layers:
    """The artifact's nodes by each name of theirs."""

    def __init__(self, artifact: Sequence[Node]) -> None:
        self._blocks, self._weighted = blocks_of(artifact)
        self._node = {name: node for node in artifact for name in node.outputs} | {node.name: node for node in artifact}

    def named(self, names: Sequence[str]) -> list[Node]:
        """The nodes of these names; what is constant or only says shapes is left out."""
        return [node for node in map(self._node.get, names) if node is not None and node.name in self._blocks]

    def place(self, nodes: Sequence[Node]) -> Place:
        """Where one that computes all of these is."""
        weighted = [node for node in nodes if node.name in self._weighted]
        products = [node for node in weighted if node.kind in PRODUCTS]
        block = common(self._blocks[node.name] for node in products or weighted or nodes)
        return Place(block, not weighted and any(node.kind in ATTENTION for node in nodes))

    def lost(self, nodes: Sequence[Node], ran: Collection[str]) -> Place | None:
        """Where the layers are that lead to these and did not run; None without any."""
        found, seen = [], set(ran)
        ahead = [name for node in nodes for name in node.inputs]
        while ahead:
            name = ahead.pop()
            if name in self._blocks and name not in seen:
                seen.add(name)
                ahead += self._node[name].inputs
                found += [self._blocks[name]] if name in self._weighted else []
        return Place(common(found)) if found else None
