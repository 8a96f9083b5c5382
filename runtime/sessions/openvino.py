"""OpenVINO IR, opened on a CPU, GPU or NPU."""

from __future__ import annotations

import functools
import logging
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import MissingPackage, SessionFailed
from ..manifest import Component, Manifest
from ..precision import Precision
from ..session import EngineOptions, NodeTime, not_profiled, refuse_profile
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


def device_memory(device: str) -> dict[str, int]:
    """Bytes that the engine has on the device, by its own words; empty for a CPU, whose memory is the process's."""
    if device != "gpu":
        return {}
    told: dict[str, int] = _core().get_property(devices()[device], "GPU_MEMORY_STATISTICS")
    return dict(told)


def describe(device: str) -> str:
    """The device's full name and what it computes in."""
    core, name = _core(), devices()[device]
    numbers = [word.lower() for word in core.get_property(name, "OPTIMIZATION_CAPABILITIES") if word[-1].isdigit()]
    return f"{core.get_property(name, 'FULL_DEVICE_NAME')} ({', '.join(sorted(numbers))})"


def open_session(
    artifact: Path, component: Component, device: str, shapes: Shapes, options: EngineOptions
) -> OpenVINOSession:
    """Read the IR; its weights stay mapped from the file until it is compiled for the shapes of a call."""
    if device != "cpu":
        refuse_profile(component, options, f"OpenVINO on {device}")
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
        self._tally = _Tally() if options.profile else None
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
            if self._tally is not None:
                self._tally.leave()
            self._request = None
            self._compile({name: list(shape) for name, shape in shapes.items()})
            self._compiled_for = dict(shapes)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.prepare({name: array.shape for name, array in feeds.items()})
        try:
            self._request.infer(feeds, share_inputs=True)
        except RuntimeError as reason:
            raise SessionFailed(f"{self._component.name}: OpenVINO failed while running: {_short(reason)}") from reason
        if self._tally is not None:
            self._tally.runs += 1
        return {spec.name: self._request.get_tensor(spec.name).data.copy() for spec in self._component.outputs}

    def forget_times(self) -> None:
        self._counted().forget()

    def node_times(self) -> list[NodeTime]:
        return self._counted().times()

    def close(self) -> None:
        self._request = self._model = self._tally = None

    def _counted(self) -> _Tally:
        if self._tally is None:
            raise not_profiled(self._component)
        return self._tally

    def _compile(self, shapes: dict[str, Any]) -> None:
        try:
            self._model.reshape(shapes)
            compiled = _core().compile_model(self._model, self._device, self._settings)
            self._request = compiled.create_infer_request()
            if self._tally is not None:
                self._tally.enter(compiled, self._request)
        except RuntimeError as reason:
            name = self._component.name
            raise SessionFailed(f"{name}: OpenVINO can't compile it for {shapes}: {_short(reason)}") from reason


class _Tally:
    """Nodes' times of a model that may be compiled anew for other shapes.  runs: of the one compiled last.

    The CPU tells each node's mean over all runs since the compilation, in whole microseconds: so a node's time may be
    told too short, by less than that for each of its calls.
    """

    def __init__(self) -> None:
        self.runs = 0
        self._request: Any = None
        self._graph: dict[str, Any] = {}
        self._done: list[NodeTime] = []
        self._before: tuple[int, dict[str, float]] = (0, {})

    def enter(self, compiled: Any, request: Any) -> None:
        self.runs, self._request, self._before = 0, request, (0, {})
        self._graph = {op.get_friendly_name(): op for op in compiled.get_runtime_model().get_ops()}

    def leave(self) -> None:
        """Keep what is counted, before the model goes."""
        self._done += self._current()
        self._request = None

    def forget(self) -> None:
        self._done = []
        self._before = (self.runs, {node.node_name: seconds for node, seconds in self._totals()})

    def times(self) -> list[NodeTime]:
        return self._done + self._current()

    def _totals(self) -> list[tuple[Any, float]]:
        if self._request is None or not self.runs:
            return []
        return [(node, node.real_time.total_seconds() * self.runs) for node in self._request.get_profiling_info()]

    def _current(self) -> list[NodeTime]:
        runs, seconds = self._before
        return [
            _node_time(node, self._graph[node.node_name], self.runs - runs, total - seconds.get(node.node_name, 0.0))
            for node, total in self._totals()
            if node.node_name in self._graph  # others were fused into their neighbours
        ]


def _node_time(node: Any, op: Any, runs: int, seconds: float) -> NodeTime:
    said = {key: str(op.rt_info[key].value) for key in ("originalLayersNames", "runtimePrecision") if key in op.rt_info}
    return NodeTime(
        name=node.node_name,
        kind=node.node_type,
        precision=said.get("runtimePrecision"),
        layers=tuple(name for name in said.get("originalLayersNames", "").split(",") if name),
        inputs=tuple(op.input_value(i).get_node().get_friendly_name() for i in range(op.get_input_size())),
        calls=runs if node.status == node.Status.EXECUTED else 0,
        seconds=max(0.0, seconds),
    )


def _settings(device: str, component: Component, options: EngineOptions, integers: bool) -> dict[str, Any]:
    """integers: activations are quantized too."""
    math = Precision.parse(component.precision).math
    if integers and math == "fp16" and device == "CPU":
        math = "bf16"  # OpenVINO 2026.4 fails to compile an attention in fp16 behind int8 layers
    # A device without 16-bit arithmetic computes in float32, which is never less exact.
    capable = CAPABILITIES[math] in _core().get_property(device, "OPTIMIZATION_CAPABILITIES")
    hint = HINTS[math] if capable and (device != "CPU" or _gains_by_16_bits()) else HINTS["fp32"]
    log.info("%s: computes in %s on %s", component.name, hint, device)
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint}
    if component.scheme != "none":
        # Otherwise activations are rounded to 8 bits beside quantized weights: 2.8e-3 of a small UNet's output.
        settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = 0
    if options.profile:
        settings["PERF_COUNT"] = True
    if options.threads is not None and device == "CPU":
        settings["INFERENCE_NUM_THREADS"] = options.threads
    return settings


def _computes_in_integers(model: Any) -> bool:
    return any(op.get_type_name() == "FakeQuantize" for op in model.get_ops())


@functools.cache
def _gains_by_16_bits() -> bool:
    """False for an x86 processor without matrix units (AMX), as far as Linux tells.

    OpenVINO multiplies large matrices there at half of float32's speed, in either 16-bit type, AVX-512's own fp16 too.
    """
    flags = Path("/proc/cpuinfo")
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    return not x86 or not flags.is_file() or "amx_bf16" in flags.read_text()


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
