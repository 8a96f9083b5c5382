"""The work of a component, counted from its graph."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...runtime.bundle import Bundle
from ...runtime.manifest import Component
from ...runtime.precision import Precision
from .onnx import onnx_products
from .openvino import openvino_products
from .work import Shape, Type, Work, add_up

TYPES: dict[str, Type] = {"fp32": "f32", "fp16": "f16", "bf16": "bf16"}
READERS = {".xml": openvino_products, ".onnx": onnx_products}
ITEM_BYTES = {"float32": 4, "float16": 2, "int64": 8, "int32": 4}


def count(bundle: Bundle, name: str, shapes: Mapping[str, Shape]) -> Work | None:
    """Of one call with inputs of these shapes; None where the artifact is no graph that can be read, as a plan.

    Types are those that the bundle asks for: an engine without 16-bit arithmetic computes in f32.
    Raises BadModel where a shape can't be told.
    """
    part = bundle.manifest.component(name)
    assert part is not None, name
    artifact = bundle.folder / part.artifact
    if artifact.suffix not in READERS:
        return None
    math_type = TYPES[Precision.parse(part.precision).math]
    products = add_up(READERS[artifact.suffix](artifact, shapes, math_type))
    # The graph beside the weights is some hundredths of a small model's file, and nothing of a large one's.
    files = (file for file in artifact.parent.iterdir() if file.is_file())
    return Work(products, sum(file.stat().st_size for file in files), _in_bytes(part, shapes))


def _in_bytes(part: Component, shapes: Mapping[str, Shape]) -> int:
    """Of the inputs that have shapes here."""
    return sum(
        ITEM_BYTES.get(spec.dtype, 4) * math.prod(shapes[spec.name]) for spec in part.inputs if spec.name in shapes
    )
