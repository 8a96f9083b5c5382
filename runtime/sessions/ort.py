"""ONNX models, opened by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MissingPackage, SessionFailed
from ..manifest import Component
from ..session import EngineOptions
from ..shapes import Shapes

PROVIDERS = {"cpu": "CPUExecutionProvider"}


def devices() -> dict[str, str]:
    """Our device name -> ONNX Runtime's execution provider, for those on this machine."""
    here = _package().get_available_providers()
    return {device: provider for device, provider in PROVIDERS.items() if provider in here}


def versions() -> dict[str, str]:
    """Package -> version, of what runs the artifacts."""
    return {"onnxruntime": _package().__version__}


def describe(device: str) -> str:
    """The execution provider and what it computes in."""
    return f"{PROVIDERS[device]} (fp32)"


def open_session(
    artifact: Path, component: Component, device: str, shapes: Shapes, options: EngineOptions
) -> OrtSession:
    """Load the model; ONNX Runtime takes any shapes that the graph allows."""
    return OrtSession(artifact, component, devices()[device], options)


class OrtSession:
    """One model on one execution provider."""

    def __init__(self, artifact: Path, component: Component, provider: str, options: EngineOptions) -> None:
        ort = _package()
        self._component = component
        self._outputs = [spec.name for spec in component.outputs]
        settings = ort.SessionOptions()
        settings.log_severity_level = 3  # errors only: warnings are for those who write graphs
        if component.scheme != "none":
            # Otherwise activations are rounded to 8 bits beside quantized weights: 2.8e-3 of a small UNet's output.
            settings.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
        if options.threads is not None:
            settings.intra_op_num_threads = options.threads
        self._session: Any
        try:
            self._session = ort.InferenceSession(str(artifact), settings, providers=[provider])
        except Exception as reason:  # its errors share no class but Exception
            raise SessionFailed(f"{component.name}: ONNX Runtime can't read {artifact.name}: {reason}") from reason

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        pass

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return dict(zip(self._outputs, self._session.run(self._outputs, dict(feeds)), strict=True))
        except Exception as reason:  # its errors share no class but Exception
            raise SessionFailed(f"{self._component.name}: ONNX Runtime failed while running: {reason}") from reason

    def close(self) -> None:
        self._session = None


def _package() -> Any:
    try:
        import onnxruntime
    except ImportError as reason:
        raise MissingPackage('this needs onnxruntime; pip install "aquatint[ort]"') from reason
    return onnxruntime
