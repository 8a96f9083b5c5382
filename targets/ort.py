"""ONNX to what ONNX Runtime loads: the graph itself, its 4-bit weights as its own operators take them."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..runtime.manifest import Component

DEVICES = ("cpu",)
SCHEMES = ("int8-weights", "int8", "int4", "nf4")  # fp8 would run too, by no kernel of its own: slower, and less exact
WHY = {"cpu": "OpenVINO is not installed, and ONNX Runtime runs on any processor"}


def schemes(device: str) -> tuple[str, ...]:
    """The schemes that the device runs, best first: the most exact, then the faster of those that are alike."""
    return SCHEMES


def check(device: str, component: str, precision: str, fixed: bool) -> None:
    """Every precision is possible: weights are widened at load, and computed with in float32."""


def build(graph: Path, component: Component, folder: Path) -> Path:
    """Write the graph and its weights to `folder`; returns the graph's path."""
    import onnx_ir as ir

    from .lowering.matmul_bnb4 import lower_nf4
    from .lowering.matmul_nbits import lower_int4

    model = ir.load(graph)
    if lower_nf4(model) + lower_int4(model):
        ir.save(model, folder / graph.name, external_data=f"{graph.name}.data")
        return folder / graph.name
    for file in graph.parent.glob(f"{graph.name}*"):
        shutil.copyfile(file, folder / file.name)
    return folder / graph.name
