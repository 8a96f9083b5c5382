"""ONNX to OpenVINO IR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..runtime.errors import BadProfile, MissingPackage, OutputFailed, SessionFailed
from ..runtime.manifest import Component
from ..runtime.precision import Precision
from ..runtime.sessions.openvino import versions
from .order import Order, refuse_on_device

DEVICES = ("cpu", "gpu", "npu")
SCHEMES = ("int8-weights", "int8", "int4")  # of every device
# Executed on CPUs only.  Its GPU plugin lists u8, i8, u4 and i4 as weights that it keeps compressed, not nf4, and the
# NPU's page names 8-bit integers only; ready int4 models are published for NPUs, with one scale per channel.
_SCHEMES = {"cpu": (*SCHEMES, "nf4"), "gpu": SCHEMES, "npu": SCHEMES}
WHY = {
    "gpu": "an Intel GPU, the fastest device for these models that OpenVINO has here",
    "cpu": "OpenVINO runs on this processor, and is faster than ONNX Runtime on it",
}


def schemes(device: str) -> tuple[str, ...]:
    """The schemes that the device runs, best first: the most exact, then the faster of those that are alike."""
    return _SCHEMES[device]


def settings(scheme: str) -> dict[str, Any]:
    """Settings that the scheme must have here: none."""
    return {}


def typed(device: str) -> bool:
    """Whether artifacts compute in the types of their graph: OpenVINO chooses when it compiles."""
    return False


def check(device: str, component: str, precision: str, fixed: bool) -> None:
    """Raises BadProfile for what the device can't do.  fixed: sizes are a list, not ranges.

    Where they are fixed, the session compiles for the shapes of each call, and a longer prompt is one more shape.
    """
    if device == "npu" and not fixed:
        raise BadProfile("openvino:npu runs static shapes only; give the profile sizes in place of ranges")
    if device == "npu" and Precision.parse(precision).math != "fp16":
        raise BadProfile(f"openvino:npu computes in fp16 only, and the profile asks {precision} of {component}")


def ready(order: Order) -> None:
    """Raises BadProfile for an order that this backend knows nothing of."""
    refuse_on_device(order)


def requires(order: Order) -> dict[str, str]:
    """Packages that the bundle needs."""
    return versions()


def identity(order: Order) -> dict[str, Any]:
    """All of the order, and of this machine, that decides what is built: not the device."""
    return versions()


def build(graph: Path, component: Component, folder: Path, order: Order) -> Path:
    """Write `folder`/model.xml and model.bin; returns the first.  Dimensions that are static in the graph stay so."""
    try:
        import openvino
    except ImportError as reason:
        raise MissingPackage('this needs openvino; pip install "aquatint[openvino]"') from reason
    from .lowering.openvino_nf4 import lower_nf4

    path = folder / "model.xml"
    try:
        model = openvino.Core().read_model(graph)
        lower_nf4(model)
        # The graph says in which bits each weight is stored; OpenVINO must not choose again.
        openvino.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as reason:
        if "iostream" in str(reason):
            raise OutputFailed(f"can't write {path}; is the disk full?") from reason
        raise SessionFailed(f"{component.name}: OpenVINO can't convert it: {str(reason).splitlines()[-1]}") from reason
    return path
