"""How TensorRT is to build."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BuildOptions:
    """A profile's table [tensorrt].

    workspace_mb: the most scratch memory a layer may ask for, which is a part of the activations' in the end; None: all
    of the GPU's.  optimization_level: 0 to 5, how many kernels are tried.
    same_capability: the plan runs on all GPUs of the compute capability, not only on those of the same model.
    version_compatible: it runs on the lean runtime of the release that built it, which can stand beside a later one.
    strip_weights: it has no weights, and gets them from the bundle's ONNX whenever it is loaded.
    weight_streaming: it can run where its weights don't fit, by moving them while it runs.
    """

    workspace_mb: int | None = None
    optimization_level: int = 3
    same_capability: bool = False
    version_compatible: bool = False
    strip_weights: bool = False
    weight_streaming: bool = False

    def __post_init__(self) -> None:
        if self.workspace_mb is not None and self.workspace_mb < 1:
            raise ValueError(f"workspace_mb is {self.workspace_mb}; it must be at least 1")
        if not 0 <= self.optimization_level <= 5:
            raise ValueError(f"optimization_level is {self.optimization_level}; it must be from 0 to 5")
        if self.version_compatible and self.strip_weights:
            raise ValueError("version_compatible and strip_weights exclude each other: the lean runtime reads no ONNX")
