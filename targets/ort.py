"""ONNX to what ONNX Runtime loads: the graph itself."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..runtime.manifest import Component

DEVICES = ("cpu",)
SCHEMES = ("int8-weights", "int4")
WHY = {"cpu": "OpenVINO is not installed, and ONNX Runtime runs on any processor"}


def check(device: str, component: str, precision: str, fixed: bool) -> None:
    """Every precision is possible: weights are widened at load, and computed with in float32."""


def build(graph: Path, component: Component, folder: Path) -> Path:
    """Copy the graph and its weights to `folder`; returns the graph's path."""
    for file in graph.parent.glob(f"{graph.name}*"):
        shutil.copyfile(file, folder / file.name)
    return folder / graph.name
