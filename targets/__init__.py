"""One file per backend: ONNX in, that engine's artifact out; found here by the target's name."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from types import ModuleType

from ..runtime import lookup, session
from ..runtime.errors import BadProfile, MissingPackage, UnknownName
from ..runtime.precision import Precision
from ..runtime.target import Target
from .order import Order

BACKENDS = __name__
AUTO = "auto"
# Best first; `auto` takes the first that this machine has.
PREFERENCE = (Target("openvino", "gpu"), Target("openvino", "cpu"), Target("ort", "cpu"))


SHARED = ("card", "order")  # modules that are no backend


def names() -> tuple[str, ...]:
    """The backends, as found on disk; a folder holds what they share, and is none."""
    found = (module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    return tuple(name for name in found if name not in SHARED)


def backend(target: Target) -> ModuleType:
    """The module in targets that builds for `target`: DEVICES, `check`, `ready` and `build`.

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


def in_words(targets: Iterable[Target]) -> str:
    """Several targets in short: `openvino:cpu, gpu; tensorrt` where all devices of the second are meant."""
    devices: dict[str, list[str]] = {}
    for target in targets:
        devices.setdefault(target.backend, []).append(target.device)
    whole = {name: lookup.find(BACKENDS, name, "backend").DEVICES for name in devices}
    return "; ".join(
        name if tuple(found) == whole[name] else f"{name}:{', '.join(found)}" for name, found in devices.items()
    )


def choose() -> tuple[Target, str]:
    """The best target that this machine has, and why.  Raises MissingPackage where no engine is installed."""
    for target in PREFERENCE:
        try:
            if target.device in session.devices(target):
                return target, backend(target).WHY[target.device]
        except MissingPackage:
            continue
    raise MissingPackage('no engine is installed; pip install "aquatint[openvino]" or "aquatint[ort]"')


def check_verifiable(order: Order, on: Target, component: str, precision: str) -> None:
    """Raises BadProfile for an artifact that the target to verify on can't run.  on: what `nearest` gave."""
    typed = backend(order.target).typed(order.target.device)
    if on == Target("ort", "cpu") and typed and Precision.parse(precision).math == "bf16":
        raise BadProfile(
            f"{component} in bf16 for {order.target} can be verified on a GPU only, as ONNX Runtime has no bf16 on "
            "processors; take fp16, or compile where such a GPU is"
        )


def widest(word: str) -> str:
    """The target of the same backend whose artifacts run on most GPUs.  Raises BadProfile where all run anywhere."""
    found = Target.parse(word) if word != AUTO else choose()[0]
    device: str | None = getattr(backend(found), "WIDEST", None)
    if device is None:
        raise BadProfile(f"--portable is for tensorrt; what is built for {found} is not bound to one machine's device")
    return str(Target(found.backend, device))


def nearest(order: Order) -> Target:
    """The target to verify on: the order's own where this machine has it, else the CPU of its backend.

    What is left to the device to build is ONNX, and verified by ONNX Runtime.
    """
    if order.on_device:
        cuda = Target("ort", "cuda")
        return cuda if cuda.device in session.devices(cuda) else Target("ort", "cpu")
    here = session.devices(order.target)
    return order.target if order.target.device in here else Target(order.target.backend, "cpu")
