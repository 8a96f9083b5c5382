"""OpenVINO IR, opened on a CPU, GPU or NPU."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MissingPackage, SessionFailed
from ..manifest import Component, Manifest
from ..precision import Precision
from ..session import EngineOptions
from ..shapes import Shapes, range_of

log = logging.getLogger(__name__)

CAPABILITIES = {"fp16": "FP16", "bf16": "BF16", "fp32": "FP32"}
HINTS = {"fp16": "f16", "bf16": "bf16", "fp32": "f32"}


def devices() -> dict[str, str]:
    """Our device name -> OpenVINO's, for those on this machine."""
    return {name.split(".")[0].lower(): name for name in reversed(_core().available_devices)}


def absence(device: str) -> str:
    """Why a device is not here; OpenVINO does not say."""
    return ""


def admit(folder: Path, manifest: Manifest, device: str, options: EngineOptions) -> None:
    """Whatever was built for OpenVINO runs on all of its devices."""


def builder(folder: Path, manifest: Manifest) -> None:
    """Nothing is built on the machine that runs it."""


def versions() -> dict[str, str]:
    """Package -> version, of what runs the artifacts."""
    return {"openvino": _package().__version__.split("-")[0]}


def describe(device: str) -> str:
    """The device's full name and what it computes in."""
    core, name = _core(), devices()[device]
    numbers = [word.lower() for word in core.get_property(name, "OPTIMIZATION_CAPABILITIES") if word[-1].isdigit()]
    return f"{core.get_property(name, 'FULL_DEVICE_NAME')} ({', '.join(sorted(numbers))})"


def open_session(
    artifact: Path, component: Component, device: str, shapes: Shapes, options: EngineOptions
) -> OpenVINOSession:
    """Read the IR; its weights stay mapped from the file until it is compiled for the shapes of a call."""
    return OpenVINOSession(artifact, component, devices()[device], shapes, options)


class OpenVINOSession:
    """One model, compiled for the shapes it was last called with, or once for a range of shapes."""

    def __init__(
        self, artifact: Path, component: Component, device: str, shapes: Shapes, options: EngineOptions
    ) -> None:
        self._component = component
        self._device = device
        self._request: Any = None
        self._compiled_for: dict[str, tuple[int, ...]] = {}
        try:
            self._model = _core().read_model(artifact)
            self._settings = _settings(device, component, options, _computes_in_integers(self._model))
            # A component of static shapes keeps them; one of ranges is compiled once, with those bounds.
            self._ranges = not shapes.sizes and self._model.is_dynamic()
            if self._ranges:
                self._compile(_bounds(component, shapes))
        except RuntimeError as reason:
            raise SessionFailed(f"{component.name}: OpenVINO can't read {artifact.name}: {_short(reason)}") from reason

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        if not self._ranges and self._compiled_for != shapes:
            self._request = None
            self._compile({name: list(shape) for name, shape in shapes.items()})
            self._compiled_for = dict(shapes)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.prepare({name: array.shape for name, array in feeds.items()})
        try:
            self._request.infer(feeds, share_inputs=True)
        except RuntimeError as reason:
            raise SessionFailed(f"{self._component.name}: OpenVINO failed while running: {_short(reason)}") from reason
        return {spec.name: self._request.get_tensor(spec.name).data.copy() for spec in self._component.outputs}

    def close(self) -> None:
        self._request = self._model = None

    def _compile(self, shapes: dict[str, Any]) -> None:
        try:
            self._model.reshape(shapes)
            compiled = _core().compile_model(self._model, self._device, self._settings)
            self._request = compiled.create_infer_request()
        except RuntimeError as reason:
            name = self._component.name
            raise SessionFailed(f"{name}: OpenVINO can't compile it for {shapes}: {_short(reason)}") from reason


def _settings(device: str, component: Component, options: EngineOptions, integers: bool) -> dict[str, Any]:
    """integers: activations are quantized too."""
    math = Precision.parse(component.precision).math
    if integers and math == "fp16" and device == "CPU":
        math = "bf16"  # OpenVINO 2026.4 fails to compile an attention in fp16 behind int8 layers
    # A device without 16-bit arithmetic computes in float32, which is never less exact.
    capable = CAPABILITIES[math] in _core().get_property(device, "OPTIMIZATION_CAPABILITIES")
    # Without matrix units, bfloat16 has float32's memory and is slower (1.4 times, SD 1.5's UNet on AVX-512).
    worthwhile = math != "bf16" or device != "CPU" or _has_matrix_units()
    hint = HINTS[math] if capable and worthwhile else HINTS["fp32"]
    log.info("%s: computes in %s on %s", component.name, hint, device)
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    if component.scheme != "none":
        # Otherwise activations are rounded to 8 bits beside quantized weights: 2.8e-3 of a small UNet's output.
        settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0
    if options.threads is not None and device == "CPU":
        settings["INFERENCE_NUM_THREADS"] = options.threads
    return settings


def _computes_in_integers(model: Any) -> bool:
    return any(op.get_type_name() == "FakeQuantize" for op in model.get_ops())


@functools.cache
def _has_matrix_units() -> bool:
    """AMX, as Linux lists it; elsewhere OpenVINO's word for bfloat16 is taken."""
    flags = Path("/proc/cpuinfo")
    return "amx_bf16" in flags.read_text() if flags.is_file() else True


def _bounds(component: Component, shapes: Shapes) -> dict[str, Any]:
    words = component.extents(shapes)
    found = {}
    for spec in component.inputs:
        limits = [range_of(dim, words) for dim in spec.dims]
        found[spec.name] = [side.min if side.min == side.max else (side.min, side.max) for side in limits]
    return found


@functools.cache
def _core() -> Any:
    return _package().Core()


def _package() -> Any:
    try:
        import openvino
    except ImportError as reason:
        raise MissingPackage('this needs openvino; pip install "aquatint[openvino]"') from reason
    return openvino


def _short(reason: Exception) -> str:
    """OpenVINO's messages carry its source lines first and the cause last."""
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    return lines[-1] if lines else type(reason).__name__
