"""What a plan is tied to, and whether it fits the GPU and the TensorRT at hand."""

from __future__ import annotations

import logging
from dataclasses import asdict
from types import ModuleType

from ..cuda.device import Gpu
from ..errors import TargetMismatch
from ..manifest import Bound, Component
from .options import BuildOptions
from .package import release, release_number

log = logging.getLogger(__name__)

ANY, AMPERE = "any", "ampere"
FIRST_AMPERE = 80
FULL, LEAN = "tensorrt", "tensorrt_lean"


def devices_of(gpu: Gpu) -> dict[str, str]:
    """The devices of targets that a GPU can serve -> its name: its own architecture first."""
    found = {gpu.architecture: gpu.name, ANY: gpu.name}
    if int(gpu.architecture.removeprefix("sm")) >= FIRST_AMPERE:
        found[AMPERE] = gpu.name
    return found


def bound_to(trt: ModuleType, gpu: Gpu, options: BuildOptions, portable: bool) -> Bound:
    """What a plan that is built here and now will be tied to."""
    said = {**asdict(options), "gpu": gpu.name}
    device = AMPERE if portable else gpu.architecture
    return Bound(device, {LEAN if options.version_compatible else FULL: release(trt)}, said)


def check_bound(component: Component, gpu: Gpu, here: str) -> None:
    """Raises TargetMismatch, before the plan is opened, where it was built for another GPU or release.

    here: the release of TensorRT, or of its lean runtime where the plan is for that.
    """
    bound = component.bound
    if bound is None:
        raise TargetMismatch(f"{component.name}: the manifest does not say what {component.artifact} was built for")
    if bound.device not in devices_of(gpu):
        raise TargetMismatch(
            f"{component.artifact} was built for {_gpus(bound)}, this is {gpu.name} ({gpu.architecture}); {_again(gpu)}"
        )
    model = bound.options.get("gpu")
    if bound.device == gpu.architecture and model != gpu.name and not bound.options.get("same_capability"):
        log.warning(
            "%s was built on %s, this is %s: it may run slower, or fail; same_capability, in a profile's table "
            "[tensorrt], builds for both",
            component.artifact,
            model,
            gpu.name,
        )
    for name, built in bound.versions.items():
        if release_number(built) != release_number(here):
            help_ = f'pip install "tensorrt-lean=={built}"' if name == LEAN else _again(gpu)
            raise TargetMismatch(f"{component.artifact} needs {name} {built}, this machine has {here}; {help_}")


def is_lean(component: Component) -> bool:
    """Whether its plan is for the lean runtime, which can stand beside a later TensorRT."""
    return component.bound is not None and LEAN in component.bound.versions


def _gpus(bound: Bound) -> str:
    return "GPUs from Ampere (sm80) on" if bound.device == AMPERE else f"GPUs of {bound.device}"


def _again(gpu: Gpu) -> str:
    return (
        f"compile with --target tensorrt:{gpu.architecture} on a machine like this one, or once with "
        "--build-on-device for all"
    )
