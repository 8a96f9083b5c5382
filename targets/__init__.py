"""One file per backend: ONNX in, that engine's artifact out; found here by the target's name."""

from __future__ import annotations

import pkgutil
from types import ModuleType

from ..runtime import lookup, session
from ..runtime.errors import MissingPackage, UnknownName
from ..runtime.target import Target

BACKENDS = __name__
AUTO = "auto"
# Best first; `auto` takes the first that this machine has.
PREFERENCE = (Target("openvino", "gpu"), Target("openvino", "cpu"), Target("ort", "cpu"))


def names() -> tuple[str, ...]:
    """The backends, as found on disk; a folder holds what they share, and is none."""
    return tuple(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def backend(target: Target) -> ModuleType:
    """The module in targets that builds for `target`: DEVICES, `check` and `build`.

    Raises UnknownName for another backend or device than those that exist.
    """
    if target.backend.replace("-", "_") not in names():
        raise UnknownName(f"unknown backend {target.backend!r} in {target}; known targets: {', '.join(all_targets())}")
    module = lookup.find(BACKENDS, target.backend, "backend")
    if target.device not in module.DEVICES:
        raise UnknownName(
            f"{target.backend} has no device {target.device!r}; known targets: {', '.join(all_targets())}"
        )
    return module


def all_targets() -> list[str]:
    """Every target that can be built for, whether or not this machine has it."""
    return [f"{name}:{device}" for name in names() for device in lookup.find(BACKENDS, name, "backend").DEVICES]


def choose() -> tuple[Target, str]:
    """The best target that this machine has, and why.  Raises MissingPackage where no engine is installed."""
    for target in PREFERENCE:
        try:
            if target.device in session.devices(target):
                return target, backend(target).WHY[target.device]
        except MissingPackage:
            continue
    raise MissingPackage('no engine is installed; pip install "aquatint[openvino]" or "aquatint[ort]"')


def nearest(target: Target) -> Target:
    """The device of the target's backend to verify on: its own where this machine has it, else the CPU."""
    here = session.devices(target)
    return target if target.device in here else Target(target.backend, "cpu")
