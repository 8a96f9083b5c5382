"""A graph to a target's artifact: rewritten, its weights narrowed, its fixed dimensions fixed."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from ..runtime.manifest import Component
from ..runtime.precision import Precision
from ..runtime.shapes import Shapes
from ..runtime.target import Target
from ..targets import backend
from .export import GRAPH


def build_artifact(graph: Path, component: Component, shapes: Shapes, target: Target, folder: Path) -> Path:
    """Write the component's artifact for `target` into `folder`; returns its path.

    graph: float32 ONNX with named dimensions.  component: says the precision and the rows.
    """
    import onnx_ir as ir

    from .passes.fix_dims import fix_dims
    from .passes.store_weights import store_weights

    model = ir.load(graph)
    fix_dims(model, shapes.extents(component.rows))
    store_weights(model, Precision.parse(component.precision).weights)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="build-part-") as work:
        typed = Path(work) / GRAPH
        ir.save(model, typed, external_data=f"{GRAPH}.data")
        return backend(target).build(typed, component, folder)


def artifact_key(component: Component, shapes: Shapes, target: Target) -> dict[str, object]:
    """All that the artifact depends on, besides the graph."""
    words = {word: dataclasses.astuple(extent) for word, extent in shapes.extents(component.rows).items()}
    return {"precision": component.precision, "shapes": words, "backend": target.backend}
