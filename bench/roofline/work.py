"""The work of one call of a network, and the products that it is made of."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Shape = tuple[int, ...]
Kind = Literal["convolution", "linear", "attention"]
Type = Literal["f32", "f16", "bf16", "i8"]


@dataclass(frozen=True)
class Product:
    """One layer that multiplies, or all of a kind.  type: of the numbers that are multiplied.

    operations: a multiplication and an addition count as two.
    """

    kind: Kind
    type: Type
    operations: int


@dataclass(frozen=True)
class Work:
    """Of one call of a component.  Only products are counted: norms, activations and moves are some hundredths.

    weights_bytes: as they are stored.  in_bytes: of the inputs; what comes after may stay in caches.
    """

    products: tuple[Product, ...]
    weights_bytes: int
    in_bytes: int

    @property
    def operations(self) -> int:
        """Of all products."""
        return sum(part.operations for part in self.products)


def add_up(products: Iterable[Product]) -> tuple[Product, ...]:
    """One for each kind and type, the most work first."""
    found: dict[tuple[Kind, Type], int] = {}
    for product in products:
        key = (product.kind, product.type)
        found[key] = found.get(key, 0) + product.operations
    ordered = sorted(found.items(), key=lambda item: -item[1])
    return tuple(Product(kind, type_, operations) for (kind, type_), operations in ordered)


def convolution(output: Shape, weights: Shape) -> int:
    """output: (n, out, ...).  weights: (out, in / groups, ...), as ONNX has them."""
    return 2 * math.prod(output) * math.prod(weights[1:])


def matrix_product(output: Shape, inner: int) -> int:
    """output: (..., m, n); inner: how many products are added up for each value of it."""
    return 2 * math.prod(output) * inner


def attention(query: Shape, key: Shape, value: Shape) -> int:
    """(..., heads, tokens, width) each; query has the most heads."""
    scores = math.prod(query[:-1]) * key[-2]
    return 2 * scores * (query[-1] + value[-1])
