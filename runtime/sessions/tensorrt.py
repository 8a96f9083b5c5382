"""TensorRT plans, opened on the NVIDIA GPU that they were built for."""

from __future__ import annotations

from pathlib import Path

from ..cuda.device import driver_version, first_gpu, free_bytes
from ..device.session import DeviceSession
from ..errors import BundleCorrupt, MissingPackage, TargetMismatch
from ..manifest import Component, Manifest
from ..room import check_room
from ..session import EngineOptions
from ..shapes import Shapes
from ..tensorrt.beside import Engines
from ..tensorrt.bound import check_bound, devices_of
from ..tensorrt.package import either_package, package, release
from ..tensorrt.plan import engine_package, open_plan


def devices() -> dict[str, str]:
    """Our device names -> the GPU's, for what the GPU here can serve; none without a GPU.  Raises MissingPackage."""
    either_package()
    try:
        return devices_of(first_gpu())
    except TargetMismatch:
        return {}


def absence(device: str) -> str:
    """Why a device is not here."""
    try:
        gpu = first_gpu()
    except (MissingPackage, TargetMismatch) as reason:
        return str(reason)
    return f"the GPU here is {gpu.name} ({gpu.architecture})"


def versions() -> dict[str, str]:
    """Package -> version, of what runs the artifacts."""
    trt = either_package()
    return {trt.__name__: release(trt)}


def device_memory(device: str) -> dict[str, int]:
    """Empty: the driver tells, not TensorRT."""
    return {}


def describe(device: str) -> str:
    """The GPU, its memory and its driver."""
    gpu = first_gpu()
    return f"{gpu.name} ({gpu.architecture}, {gpu.total_bytes / 2**30:.0f} GiB, driver for CUDA {driver_version()})"


def admit(folder: Path, manifest: Manifest, device: str, options: EngineOptions) -> None:
    """Raises TargetMismatch for a plan of another GPU or release, BundleCorrupt for a stripped one without its weights,
    OutOfMemory where the plans don't fit beside what else is on the GPU.
    """
    engines = builder(folder, manifest)
    parts = manifest.components if engines is None else engines.built()
    for part in manifest.components:
        weights = part.artifact.replace(".plan", ".onnx")
        if part.bound is not None and part.bound.options.get("strip_weights") and weights not in manifest.files:
            raise BundleCorrupt(f"{folder} lists no {weights}, whose weights {part.artifact} needs")
    for part in parts:
        check_bound(part, first_gpu(), release(engine_package(part)))
    check_room(parts, options, free_bytes())


def builder(folder: Path, manifest: Manifest) -> Engines | None:
    """The engines that this machine builds of a bundle's ONNX; None for a bundle of plans."""
    return None if manifest.build is None else Engines(folder, manifest, package(), first_gpu())


def open_session(
    artifact: Path, component: Component, device: str, shapes: Shapes, options: EngineOptions
) -> DeviceSession:
    """Load a plan of the bundle; a stripped one takes its weights from the ONNX beside it."""
    return open_plan(artifact, component, options, artifact.with_suffix(".onnx"))
