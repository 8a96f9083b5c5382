"""An opened artifact, whatever its engine."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from . import lookup
from .errors import BadRequest, NonFinite, TargetMismatch
from .manifest import Component
from .shapes import Shapes
from .target import Target

BACKENDS = f"{__package__}.sessions"


class Session(Protocol):
    """A network that runs: arrays by input name in, arrays by output name out."""

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Do now what the first `run` with inputs of these shapes would do, such as compiling for them."""

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs that belong to the caller.  Raises SessionFailed where the engine refuses."""

    def close(self) -> None:
        """Give the memory back; the session can't run after it."""


@dataclass(frozen=True)
class NodeTime:
    """What one node of an engine's own graph took.

    kind, precision: in the engine's words; precision None where it tells none.
    layers: the nodes of the artifact that it computes, as far as the engine tells: a fused one several, an inserted
    one none.
    inputs: nodes that run before it, by name.
    calls: how often it ran; 0 for one that the engine found nothing to do for.  seconds: of all its calls.
    """

    name: str
    kind: str
    precision: str | None
    layers: tuple[str, ...]
    inputs: tuple[str, ...]
    calls: int
    seconds: float


@runtime_checkable
class Profiled(Protocol):
    """What a session has besides, if it was opened with EngineOptions(profile=True)."""

    def forget_times(self) -> None:
        """Count from now on."""

    def node_times(self) -> list[NodeTime]:
        """Of all runs since forget_times, in the order in which nodes run; a name may come again.

        The last that is asked of a session before its end.  Raises BadRequest where it was opened without profile.
        """


@dataclass(frozen=True)
class BuildStep:
    """One step of a phase of a long build is done.  done: from 0 to total; both 0 for a phase that is not counted."""

    phase: str
    done: int = 0
    total: int = 0

    def __str__(self) -> str:
        return f"{self.phase} {self.done}/{self.total}" if self.total else self.phase


class Builder(Protocol):
    """Builds, on the machine that runs them, engines of a bundle's portable artifacts, and keeps them."""

    def missing(self) -> list[Component]:
        """What is not built yet, or no longer whole."""

    def build(self, part: Component) -> Generator[BuildStep, None, None]:
        """Build one component's engine, yielding what is being done; it appears whole or not at all."""

    def open(self, part: Component, options: EngineOptions) -> Session:
        """Open a component's engine.  Raises NotBuilt."""

    @property
    def verified(self) -> bool:
        """Whether these engines have printed the golden images."""

    def mark_verified(self) -> None:
        """From now on they have."""

    def discard(self) -> None:
        """Remove these engines, which print something else."""


@dataclass(frozen=True)
class EngineOptions:
    """What a caller may set of the engines.

    threads: of a CPU, None for the engine's own choice.
    residency: "all" keeps every component loaded; "one" unloads each before the next, which costs the time of loading
    at every call, and keeps memory at the largest component.
    profile: have sessions tell what each node of theirs takes (Profiled), which makes them slower.

    On NVIDIA's GPUs:
    graphs: have the denoiser's work recorded, and launched at once from then on (CUDA graphs).
    device_memory_mb: the most memory for each component: of its weights, where a TensorRT plan can stream them; of all
    but its weights' own, in ONNX Runtime.  None: no limit.
    conv_search: how ONNX Runtime chooses among cuDNN's convolutions: by trying all, by cuDNN's advice, or not at all.
    conv_layout: in which order of dimensions it computes them.
    arena: how its memory grows: by what is asked for, or by powers of two, which asks less often and keeps more.
    """

    threads: int | None = None
    residency: Literal["all", "one"] = "all"
    profile: bool = False
    graphs: bool = True
    device_memory_mb: int | None = None
    conv_search: Literal["exhaustive", "heuristic", "default"] = "heuristic"
    conv_layout: Literal["nchw", "nhwc"] = "nchw"
    arena: Literal["as-requested", "powers-of-two"] = "as-requested"


def backend(target: Target) -> ModuleType:
    """The module in runtime/sessions that opens artifacts of `target`: it has `open_session` and `devices`.

    Also `absence`, which says why a device is not here, `admit`, which refuses a bundle that can't run here, and
    `builder`, for bundles of which each machine builds its own engines.
    """
    return lookup.find(BACKENDS, target.backend, "backend")


def devices(target: Target) -> dict[str, str]:
    """Devices of the backend on this machine: our name -> the engine's own.  Raises MissingPackage."""
    found: dict[str, str] = backend(target).devices()
    return found


def require_device(target: Target) -> None:
    """Raises TargetMismatch unless this machine has the target's device, MissingPackage without its engine."""
    here = devices(target)
    if target.device not in here:
        local = ", ".join(f"{target.backend}:{device}" for device in here) or f"no device for {target.backend}"
        why = backend(target).absence(target.device)
        raise TargetMismatch(
            f"{target} is not on this machine{': ' + why if why else ''}; it has {local}; recompile for one that it has"
        )


def open_session(
    artifact: Path, component: Component, target: Target, shapes: Shapes, options: EngineOptions
) -> Session:
    """Open an artifact on the target's device, which must be here (require_device)."""
    session: Session = backend(target).open_session(artifact, component, target.device, shapes, options)
    return session


def refuse_profile(component: Component, options: EngineOptions, where: str) -> None:
    """Raises BadRequest if nodes' times are asked of an engine that does not tell them.  where: "TensorRT"."""
    if options.profile:
        raise BadRequest(
            f"{component.name}: what its operators take can't be told of {where} yet; "
            "profile a bundle for openvino:cpu or ort:cpu"
        )


def not_profiled(component: Component) -> BadRequest:
    """The error of a session that was asked for times and has counted none."""
    return BadRequest(f"{component.name}: its operators were not timed; open it with EngineOptions(profile=True)")


def check_finite(array: np.ndarray, where: str) -> None:
    """Raises NonFinite, naming `where`, if the array holds NaN or infinity."""
    if not np.isfinite(array).all():
        count = int(np.size(array) - np.isfinite(array).sum())
        raise NonFinite(
            f"{where}: {count} of {array.size} values are NaN or infinite; "
            "a component computed in 16 bits may have overflowed: recompile it with the precision fp32 or fp16-weights"
        )
