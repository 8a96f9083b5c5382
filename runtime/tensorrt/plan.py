"""A plan on disk to a session, once it is known to fit the machine."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

from ..cuda.device import first_gpu, free_bytes
from ..cuda.memory import shared_memory
from ..device.session import DeviceSession
from ..manifest import Component
from ..session import EngineOptions, refuse_profile
from .bound import check_bound, is_lean
from .network import TensorRTNetwork
from .package import lean_package, package, release

# Bytes that streamed weights leave free, for buffers, contexts, and what streaming itself works in.
RESERVE = 512 << 20


def open_plan(plan: Path, component: Component, options: EngineOptions, weights: Path) -> DeviceSession:
    """Load a plan; the session runs in the first GPU's memory, which all sessions of the process share.

    weights: the ONNX that a stripped plan takes its weights from.
    Raises TargetMismatch before the plan is opened, where it is for another GPU or release.
    """
    refuse_profile(component, options, "TensorRT")
    trt = engine_package(component)
    check_bound(component, first_gpu(), release(trt))
    built = component.bound.options if component.bound is not None else {}
    memory = shared_memory()
    network = TensorRTNetwork(
        trt,
        plan,
        component,
        memory,
        weights=weights if built.get("strip_weights") else None,
        graphs=options.graphs,
        weights_budget=_weights_budget(component, options) if built.get("weight_streaming") else None,
    )
    return DeviceSession(network, component, memory)


def engine_package(component: Component) -> ModuleType:
    """What runs its plan."""
    return lean_package() if is_lean(component) else package()


def _weights_budget(component: Component, options: EngineOptions) -> int:
    if options.device_memory_mb is not None:
        return options.device_memory_mb << 20
    return free_bytes() - component.memory.get("scratch_bytes", 0) - RESERVE
