"""ONNX to what ONNX Runtime loads: quantized linear layers as its own operators, typed where the device computes in
the graph's types.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.manifest import Component
from ..runtime.ort.providers import PROVIDERS
from ..runtime.precision import Precision
from ..runtime.sessions.ort import versions
from .card import Card, write_card
from .order import Order, refuse_on_device

if TYPE_CHECKING:
    import onnx_ir as ir

DEVICES = tuple(PROVIDERS)
# Of each device.  fp8 would run too, and int8 on CUDA, by no kernels of their own: slower, and less exact.
_SCHEMES = {"cpu": ("int8-weights", "int8", "int4", "nf4"), "cuda": ("int8-weights", "int4", "nf4")}
STANDARD = ("int8-weights", "int8")  # of providers that know ONNX's own operators alone
OWN_OPERATORS = ("cpu", "cuda")
OLDEST = "1.27"  # release that has all operators of our graphs; pyproject.toml asks for it too
LACKING = frozenset({"QuantizeLinear", "DequantizeLinear"})  # in bf16, among the CUDA kernels of 1.31
TYPED = ("cuda", "directml", "migraphx")  # compute in the types of the graph; the others choose by themselves
WHY = {"cpu": "OpenVINO is not installed, and ONNX Runtime runs on any processor"}


def schemes(device: str) -> tuple[str, ...]:
    """The schemes that the device runs, best first: the most exact, then the faster of those that are alike."""
    return _SCHEMES.get(device, STANDARD)


def settings(scheme: str) -> dict[str, Any]:
    """Settings that the scheme must have here: none."""
    return {}


def typed(device: str) -> bool:
    """Whether artifacts compute in the types of their graph."""
    return device in TYPED


def check(device: str, component: str, precision: str, fixed: bool) -> None:
    """Every precision is possible: on a processor, weights are widened at load, and computed with in float32."""


def ready(order: Order) -> None:
    """Raises BadProfile for an order that this backend knows nothing of."""
    refuse_on_device(order)


def requires(order: Order) -> dict[str, str]:
    """Packages that the bundle needs: not the release here, for a GPU's package may be one behind."""
    return {"onnxruntime": OLDEST}


def identity(order: Order) -> dict[str, Any]:
    """All of the order, and of this machine, that decides what is built."""
    return {**versions(), "device": order.target.device}


def build(graph: Path, component: Component, folder: Path, order: Order) -> Path:
    """Write the graph and its weights to `folder`; returns the graph's path."""
    import onnx_ir as ir

    model, device, made = ir.load(graph), order.target.device, folder / graph.name
    changed = _rewrite(model, component, device)
    if changed:
        ir.save(model, made, external_data=f"{graph.name}.data")
    else:
        for file in graph.parent.glob(f"{graph.name}*"):
            shutil.copyfile(file, folder / file.name)
    if device == "cuda":
        weights = sum(file.stat().st_size for file in folder.iterdir())
        write_card(Card({"weights_bytes": weights}), folder)
    return made


def _rewrite(model: ir.Model, component: Component, device: str) -> int:
    """How many places were changed: norms, quantized layers, and types last, as the others look for float32."""
    from .lowering.group_norm import take_apart_group_norm
    from .lowering.group_norm_rows import group_norm_as_rows
    from .lowering.matmul_8bits import lower_int8
    from .lowering.matmul_bnb4 import lower_nf4
    from .lowering.matmul_nbits import lower_int4
    from .lowering.typed import type_graph

    count = 0
    if device == "cuda":
        count += group_norm_as_rows(model)
    elif device in TYPED:
        count += take_apart_group_norm(model)
    if device in OWN_OPERATORS:
        count += lower_nf4(model) + lower_int4(model) + lower_int8(model)
    if device in TYPED:
        math = Precision.parse(component.precision).math
        count += type_graph(model, math, LACKING if math == "bf16" else frozenset())
    return count
