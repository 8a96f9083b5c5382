"""Where graphs and reference results come from: a Diffusers checkpoint, or a folder of graphs."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any, Protocol

PACKAGES = ("torch", "diffusers", "transformers", "onnxscript", "onnx-ir")


class Source(Protocol):
    """What a compile needs of the model; all that it gives lies in the cache."""

    @property
    def stages(self) -> tuple[str, ...]:
        """What `run` is called with, in this order."""

    @property
    def sha256(self) -> dict[str, str]:
        """Of each weight file."""

    def run(self, stage: str) -> None:
        """Make the stage's graphs and recordings, or find them in the cache."""

    def graph(self, component: str) -> Path:
        """The component as float32 ONNX with named dimensions."""

    def graph_key(self, component: str) -> dict[str, Any]:
        """All that the graph depends on."""

    def cases(self, component: str) -> Path:
        """The folder whose subfolder `component` holds its recorded calls."""

    def golden(self, index: int) -> Path:
        """The reference's own picture."""


def versions() -> dict[str, str]:
    """The packages that decide what an export and its reference give."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}
