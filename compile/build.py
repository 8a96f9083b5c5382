"""A graph to a target's artifact: rewritten, its weights narrowed, its fixed dimensions fixed."""

from __future__ import annotations

import dataclasses
import logging
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..quantize.scheme import NONE
from ..runtime.manifest import Component
from ..runtime.precision import Precision
from ..targets import backend
from ..targets.order import Order
from .cache import Cache
from .export import GRAPH
from .memory import release_memory
from .quantized import QuantizedGraphs

if TYPE_CHECKING:
    import onnx_ir as ir

log = logging.getLogger(__name__)

BUILD_FORMAT = 3  # raise it when a pass or a backend changes what it writes


def build_artifact(graph: Path, component: Component, order: Order, folder: Path) -> Path:
    """Write the component's artifact as ordered into `folder`; returns its path.

    graph: float32 ONNX with named dimensions, its layers quantized or not.  component: says the precision of what is
    left in floats, and the rows.
    """
    import onnx_ir as ir

    return build_model(ir.load(graph), component, order, folder)


def build_model(model: ir.Model, component: Component, order: Order, folder: Path) -> Path:
    """The same for a graph in memory, which is changed."""
    import onnx_ir as ir

    from .passes.drop_metadata import drop_metadata
    from .passes.fix_dims import fix_dims
    from .passes.store_weights import store_weights

    fix_dims(model, component.extents(order.shapes))
    store_weights(model, Precision.parse(component.precision).weights)
    drop_metadata(model)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"build-part-{os.getpid()}-") as work:
        typed = Path(work) / GRAPH
        ir.save(model, typed, external_data=f"{GRAPH}.data")
        return backend(order.target).build(typed, component, folder, order)


def cached_artifact(graphs: QuantizedGraphs, component: Component, order: Order, cache: Cache) -> Path:
    """The folder with the component's artifact as ordered, from the cache where it was built before."""
    words = {word: dataclasses.astuple(extent) for word, extent in component.extents(order.shapes).items()}
    key: dict[str, Any] = {
        **graphs.key(component.name),
        "build": BUILD_FORMAT,
        "precision": component.precision,
        "shapes": words,
        "backend": order.target.backend,
        "order": backend(order.target).identity(order),
    }

    def make(folder: Path) -> None:
        graph = graphs.graph(component.name)
        start = time.perf_counter()
        build_artifact(graph, component, replace(order, timings=cache.root), folder)
        release_memory()
        size_mb = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
        seconds = time.perf_counter() - start
        log.info("%s: built for %s, %.1f MB, %.1f s", component.name, order.target, size_mb, seconds)

    scheme = "" if component.scheme == NONE else f" {component.scheme}"
    return cache.entry("artifact", f"{component.name} {component.precision}{scheme} {order.target}", key, make)
