"""ONNX to typed ONNX, and that to a TensorRT plan."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.cuda.device import first_gpu
from ..runtime.errors import BadProfile, MissingPackage, TargetMismatch
from ..runtime.manifest import Component
from ..runtime.precision import Precision
from ..runtime.tensorrt.bound import AMPERE, ANY, bound_to, devices_of
from ..runtime.tensorrt.build import BUILD_FORMAT, build_plan
from ..runtime.tensorrt.network import engine_memory
from ..runtime.tensorrt.package import OLDEST, lean_package, package, release, release_number
from .card import Card, write_card
from .order import Order

if TYPE_CHECKING:
    import onnx_ir as ir

# Compute capabilities from Turing on.  87: Jetson Orin.  110: Jetson Thor.
ARCHITECTURES = (75, 80, 86, 87, 89, 90, 100, 103, 110, 120, 121)
DEVICES = (ANY, AMPERE, *(f"sm{number}" for number in ARCHITECTURES))
WIDEST = AMPERE
FIRST_BF16, FIRST_FP8 = 80, 89
SCHEMES = ("int8-weights", "int8", "int4")  # of every device; int8-weights are widened when the engine loads
# Of schemes: TensorRT's codes have no zero points.
SETTINGS = {"int8": {"symmetric": True}, "int4": {"symmetric": True}}
PORTABLE, PLAN = "model.onnx", "model.plan"
FIRST_ATTENTION = (10, 14)  # release whose parser reads Attention


def schemes(device: str) -> tuple[str, ...]:
    """The schemes that the device runs, best first: the most exact, then the faster of those that are alike."""
    return (*SCHEMES, "fp8") if _least(device) >= FIRST_FP8 else SCHEMES


def settings(scheme: str) -> dict[str, Any]:
    """Settings that the scheme must have here."""
    return dict(SETTINGS.get(scheme, {}))


def typed(device: str) -> bool:
    """Whether artifacts compute in the types of their graph: all do."""
    return True


def check(device: str, component: str, precision: str, fixed: bool) -> None:
    """Raises BadProfile for what the device can't do."""
    if Precision.parse(precision).math == "bf16" and _least(device) < FIRST_BF16:
        raise BadProfile(
            f"tensorrt:{device} has no bf16, which the profile asks of {component}: GPUs before sm{FIRST_BF16} lack "
            f"it; take fp16, or the target tensorrt:{AMPERE}"
        )


def ready(order: Order) -> None:
    """Raises MissingPackage or TargetMismatch, saying what would work, where this machine can't build the order."""
    options = order.tensorrt
    if options.same_capability and order.target.device == AMPERE:
        raise BadProfile(f"same_capability narrows what {order.target} widens; leave one of them out")
    if order.on_device:
        if options.version_compatible:
            raise BadProfile("version_compatible is for plans that travel, not for --build-on-device")
        return
    help_ = "with --build-on-device the bundle carries ONNX, and the machine that runs it builds for itself"
    if order.target.device == ANY:
        raise TargetMismatch(f"a plan is of one GPU, and {order.target} is all; {help_}")
    try:
        trt, gpu = package(), first_gpu()
        if options.version_compatible:
            _require_lean(release(trt))
    except (MissingPackage, TargetMismatch) as reason:
        raise type(reason)(f"{order.target} can't be built here: {reason}; {help_}") from reason
    if order.target.device not in devices_of(gpu):
        raise TargetMismatch(
            f"{order.target} can't be built here, where the GPU is {gpu.name} ({gpu.architecture}); {help_}"
        )


def _require_lean(built: str) -> None:
    """What runs a version-compatible plan, to verify it."""
    here = release(lean_package())
    if release_number(here) != release_number(built):
        raise MissingPackage(
            f"a version-compatible plan of TensorRT {built} needs tensorrt_lean {built}, here is {here}; "
            f'pip install "tensorrt-lean=={built}"'
        )


def requires(order: Order) -> dict[str, str]:
    """Packages that the bundle needs; a plan says by itself what it was built for."""
    return {"tensorrt": ".".join(map(str, OLDEST))} if order.on_device else {}


def identity(order: Order) -> dict[str, Any]:
    """All of the order, and of this machine, that decides what is built."""
    if order.on_device:
        return {"on_device": True}
    gpu = first_gpu()
    return {
        "device": order.target.device,
        "gpu": [gpu.architecture, gpu.name],
        "tensorrt": release(package()),
        "build": BUILD_FORMAT,
        "options": asdict(order.tensorrt),
        "sizes": [list(size) for size in order.shapes.sizes],
    }


def build(graph: Path, component: Component, folder: Path, order: Order) -> Path:
    """Write `folder`/model.plan, with the ONNX beside it that a stripped plan needs; or for the device to build, the
    ONNX alone.  Returns the first.
    """
    import onnx_ir as ir

    model = ir.load(graph)
    # A device's own parser may be of any release.
    whole = not order.on_device and release_number(release(package())) >= FIRST_ATTENTION
    type_for_tensorrt(model, Precision.parse(component.precision).math, whole)
    typed = folder / PORTABLE
    ir.save(model, typed, external_data=f"{PORTABLE}.data")
    if order.on_device:
        return typed
    trt, gpu, portable = package(), first_gpu(), order.target.device == AMPERE
    timings = order.timings and order.timings / f"tensorrt-{gpu.architecture}-{release(trt)}.timings"
    steps = build_plan(trt, typed, component, order.shapes, order.tensorrt, portable, timings)
    while True:
        try:
            order.watch(next(steps))
        except StopIteration as end:
            plan: bytes = end.value
            break
    (folder / PLAN).write_bytes(plan)
    bound = bound_to(trt, gpu, order.tensorrt, portable)
    write_card(Card(engine_memory(trt, plan, typed), bound), folder)
    if not order.tensorrt.strip_weights:
        for file in folder.glob(f"{PORTABLE}*"):
            file.unlink()
    return folder / PLAN


def type_for_tensorrt(model: ir.Model, math: str, whole_attention: bool) -> None:
    """Leave only what TensorRT's parser reads, in the types that it is to compute in."""
    from .lowering.attention import let_take_apart, take_apart_attention
    from .lowering.group_norm import take_apart_group_norm
    from .lowering.symmetric import drop_zero_points, symmetric_problem
    from .lowering.typed import type_graph

    problem = symmetric_problem(model)
    if problem is not None:
        raise BadProfile(problem)
    take_apart_group_norm(model)
    if whole_attention:
        let_take_apart(model)
    else:
        take_apart_attention(model)
    type_graph(model, math)
    drop_zero_points(model)


def _least(device: str) -> int:
    """The first compute capability that the device stands for."""
    return {ANY: ARCHITECTURES[0], AMPERE: FIRST_BF16}.get(device) or int(device.removeprefix("sm"))
