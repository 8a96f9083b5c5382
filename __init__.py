"""Aquatint compiles diffusion image models ahead of time and runs them without PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .runtime.pipeline import Pipeline

__version__ = "0.1.0"
__all__ = ["load"]


def load(path: str, **options: Any) -> Pipeline:
    """Open the bundle at `path` as a pipeline; see aquatint.runtime.load.load for the options."""
    from .runtime.load import load as load_bundle

    return load_bundle(path, **options)
