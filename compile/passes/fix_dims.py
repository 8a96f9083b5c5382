"""Dimensions that can have one value only, made static."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from ...runtime.shapes import ShapeRange, range_of


def fix_dims(model: ir.Model, words: Mapping[str, ShapeRange]) -> int:
    """sample (batch, 4, height/8, width/8) -> (batch, 4, 64, 64), where height and width are always 512.

    words: what each dimension word may be.
    """
    count = 0
    for value in (*model.graph.inputs, *model.graph.outputs):
        if value.shape is None:
            continue
        dims: list[int | str | None] = []
        for dim in value.shape:
            word = dim if isinstance(dim, int) else dim.value
            extent = range_of(word, words) if isinstance(word, str) else None
            static = extent is not None and extent.min == extent.max
            count += static
            dims.append(extent.min if extent is not None and static else word)
        value.shape = ir.Shape(dims)
    return count
