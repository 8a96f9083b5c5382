"""Layers in groups that get their scheme together."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ...quantize.layers import Layer

# What Diffusers and Transformers repeat; the outermost of them is a block.
PART = re.compile(
    r".*?\b(attentions|resnets|downsamplers|upsamplers|layers|transformer_blocks|single_transformer_blocks)\.\d+(?=\.)"
)


@dataclass(frozen=True)
class Block:
    """Layers of one component.  pattern: matches the names of its layers, and of no others."""

    component: str
    pattern: str
    layers: tuple[Layer, ...]

    def __str__(self) -> str:
        return f"{self.component} {self.pattern}"

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)


def blocks_of(component: str, layers: Iterable[Layer], single: bool = False) -> list[Block]:
    """The blocks in the order of their first layers.  single: each layer by itself."""
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        found.setdefault(layer.name if single else _pattern(layer.name), []).append(layer)
    return [Block(component, pattern, tuple(members)) for pattern, members in found.items()]


def _pattern(name: str) -> str:
    """down_blocks.0.attentions.1.proj_in -> down_blocks.0.attentions.1.*; what is in no such part stands alone."""
    part = PART.match(name)
    return f"{part[0]}.*" if part else name
