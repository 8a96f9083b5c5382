"""ONNX models, opened by ONNX Runtime on a processor or an accelerator."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..cuda.device import driver_version, first_gpu, free_bytes, gpus
from ..cuda.memory import shared_memory
from ..device.session import DeviceSession
from ..errors import MissingPackage, SessionFailed, TargetMismatch
from ..manifest import Component, Manifest
from ..ort.network import OrtNetwork
from ..ort.providers import PACKAGES, PROVIDERS, cuda_options, recordable
from ..ort.times import Recorder
from ..room import check_room
from ..session import EngineOptions, NodeTime, Session, not_profiled, refuse_profile
from ..shapes import Shapes

CPU = PROVIDERS["cpu"]


def devices() -> dict[str, str]:
    """Our device name -> ONNX Runtime's execution provider, for those on this machine."""
    here = _package().get_available_providers()
    found = {device: provider for device, provider in PROVIDERS.items() if provider in here}
    if "cuda" in found and not _has_gpu():
        del found["cuda"]  # its package brings the provider wherever it is installed
    return found


def absence(device: str) -> str:
    """Why a device is not here."""
    if PROVIDERS.get(device) not in _package().get_available_providers():
        return f"it needs {PACKAGES[device]}" if device in PACKAGES else f"ONNX Runtime has no device {device}"
    try:
        return f"there is {first_gpu().name}" if device == "cuda" else ""
    except (MissingPackage, TargetMismatch) as reason:
        return str(reason)


def versions() -> dict[str, str]:
    """Package -> version, of what runs the artifacts."""
    return {"onnxruntime": _package().__version__}


def device_memory(device: str) -> dict[str, int]:
    """Empty: ONNX Runtime does not tell."""
    return {}


def describe(device: str) -> str:
    """The execution provider and what it computes in."""
    if device == "cuda":
        gpu = first_gpu()
        gib = gpu.total_bytes / 2**30
        return f"{gpu.name} ({gpu.architecture}, {gib:.0f} GiB, driver for CUDA {driver_version()}; fp16, bf16, fp32)"
    return f"{PROVIDERS[device]} (fp32)"


def admit(folder: Path, manifest: Manifest, device: str, options: EngineOptions) -> None:
    """Raises OutOfMemory where the weights don't fit beside what else is on the GPU."""
    if device == "cuda":
        check_room(manifest.components, options, free_bytes())


def builder(folder: Path, manifest: Manifest) -> None:
    """Nothing is built on the machine that runs it; ONNX for others' builders runs here as it is."""


def open_session(artifact: Path, component: Component, device: str, shapes: Shapes, options: EngineOptions) -> Session:
    """Load the model; ONNX Runtime takes any shapes that the graph allows."""
    if device != "cpu":
        refuse_profile(component, options, f"ONNX Runtime on {device}")
    if device == "cuda":
        memory = shared_memory()

        def load(recorded: bool) -> Any:
            chosen = cuda_options(component, options, int(memory.stream), recorded)
            return _load(artifact, component, PROVIDERS[device], chosen, options)

        return DeviceSession(OrtNetwork(load, component, memory, recordable(component, options)), component, memory)
    recorder = Recorder(component.name) if options.profile else None
    return OrtSession(_load(artifact, component, devices()[device], {}, options, recorder), component, recorder)


class OrtSession:
    """One model, its inputs and outputs in the host's memory."""

    def __init__(self, model: Any, component: Component, recorder: Recorder | None = None) -> None:
        self._model = model
        self._component = component
        self._recorder = recorder
        self._outputs = [spec.name for spec in component.outputs]

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        pass

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            outputs = dict(zip(self._outputs, self._model.run(self._outputs, dict(feeds)), strict=True))
        except Exception as reason:  # its errors share no class but Exception
            raise SessionFailed(f"{self._component.name}: ONNX Runtime failed while running: {reason}") from reason
        if self._recorder is not None:
            self._recorder.runs += 1
        return outputs

    def forget_times(self) -> None:
        self._recording().forget()

    def node_times(self) -> list[NodeTime]:
        return self._recording().times(self._model)

    def close(self) -> None:
        self._model = None
        if self._recorder is not None:
            self._recorder.end()

    def _recording(self) -> Recorder:
        if self._recorder is None:
            raise not_profiled(self._component)
        return self._recorder


def _load(
    artifact: Path,
    component: Component,
    provider: str,
    chosen: dict[str, str],
    options: EngineOptions,
    recorder: Recorder | None = None,
) -> Any:
    ort = _package()
    settings = ort.SessionOptions()
    if recorder is not None:
        recorder.begin(settings)
    settings.log_severity_level = 3  # errors only: warnings are for those who write graphs
    if component.scheme != "none":
        # Otherwise activations are rounded to 8 bits beside quantized weights: 2.8e-3 of a small UNet's output.
        settings.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    if options.threads is not None:
        settings.intra_op_num_threads = options.threads
    if provider == PROVIDERS["directml"]:  # its page asks for both
        settings.enable_mem_pattern = False
        settings.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    providers = [(provider, chosen)] if provider == CPU else [(provider, chosen), (CPU, {})]
    try:
        # Without the last word it would say so on stdout and try again with the CPU.
        model = ort.InferenceSession(str(artifact), settings, providers=providers, enable_fallback=0)
    except Exception as reason:  # its errors share no class but Exception
        raise SessionFailed(f"{component.name}: ONNX Runtime can't read {artifact.name}: {reason}") from reason
    if provider not in model.get_providers():
        # ONNX Runtime would go on with the CPU.
        raise SessionFailed(
            f"{component.name}: {provider} could not be loaded; for CUDA it needs cuDNN 9 and the CUDA release that "
            'onnxruntime-gpu was made for: pip install "onnxruntime-gpu[cuda,cudnn]"'
        )
    return model


def _has_gpu() -> bool:
    try:
        return bool(gpus())
    except (MissingPackage, TargetMismatch):
        return False


@functools.cache
def _package() -> ModuleType:
    try:
        import onnxruntime
    except ImportError as reason:
        raise MissingPackage('this needs onnxruntime; pip install "aquatint[ort]"') from reason
    if hasattr(onnxruntime, "preload_dlls") and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            onnxruntime.preload_dlls()
    module: ModuleType = onnxruntime
    return module
