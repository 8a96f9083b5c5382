"""4-bit weights of linear layers, in groups along the inputs, with the scales of least error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ...runtime.errors import BadProfile
from ..grid import codes_of, search
from ..layers import Layer
from ..weights import initializer, lazy_initializer, read_weight, replace_weight, weight_tensor

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..scheme import Settings

NAME = "int4"
DESCRIPTION = "4-bit weights of linear layers, with a scale for each group of inputs; convolutions get 8 bits"
BITS = 4.5
KINDS = ("linear",)
OPSET = 21  # the first with 4-bit types and blocks
FALLBACK = "int8-weights"
SETTINGS: Settings = {"group_size": 64, "symmetric": True}
GROUP_SIZES = (32, 64, 128)


def check(settings: Settings) -> None:
    size, symmetric = settings["group_size"], settings["symmetric"]
    if isinstance(size, bool) or size not in GROUP_SIZES:
        raise BadProfile(f"{NAME} has group_size {', '.join(map(str, GROUP_SIZES))}, not {size!r}")
    if not isinstance(symmetric, bool):
        raise BadProfile(f"{NAME}'s symmetric is true or false, not {symmetric!r}")


def settle(layer: Layer, settings: Settings) -> tuple[Settings, str]:
    asked, size = settings["group_size"], _largest(layer)
    if size == 0 or layer.shape[1] % asked == 0:
        return settings, ""
    return {**settings, "group_size": size}, f"groups of {size}, as {asked} does not divide {layer.shape[1]} inputs"


def refusal(layer: Layer, settings: Settings) -> str | None:
    if _largest(layer) == 0:
        return f"{layer.shape[1]} inputs can't be divided into groups of {', '.join(map(str, GROUP_SIZES))}"
    return None


def size_bytes(layer: Layer, settings: Settings) -> int:
    groups = layer.parameters // settings["group_size"]
    zero_points = 0 if settings["symmetric"] else (groups + 1) // 2
    return (layer.parameters + 1) // 2 + 4 * groups + zero_points


def quantize(model: ir.Model, layer: Layer, settings: Settings) -> None:
    """W -> DequantizeLinear(int4 codes, scales, block_size along the inputs), uint4 with zero points if asymmetric"""
    import onnx_ir as ir

    tensor, size = weight_tensor(model, layer), settings["group_size"]
    grid = search(_grouped(read_weight(tensor, layer), size), settings["symmetric"])

    def laid_out(array: np.ndarray) -> np.ndarray:
        return array.T if layer.turned else array

    def convert() -> np.ndarray:
        codes = codes_of(_grouped(read_weight(tensor, layer), size), grid)
        return laid_out(codes.reshape(layer.shape))

    outputs, inputs = layer.shape
    kind = "INT4" if settings["symmetric"] else "UINT4"
    stored = (inputs, outputs) if layer.turned else (outputs, inputs)
    values = [
        lazy_initializer(model, f"{layer.name}.codes", kind, stored, convert),
        initializer(model, f"{layer.name}.scales", laid_out(grid.scales)),
    ]
    if grid.zero_points is not None:
        zeros = laid_out(grid.zero_points)
        values.append(lazy_initializer(model, f"{layer.name}.zero_points", kind, zeros.shape, _given(zeros)))
    blocks = {"axis": 0 if layer.turned else 1, "block_size": size}
    replace_weight(model, layer, NAME, [ir.node("DequantizeLinear", values, attributes=blocks)])


def _given(array: np.ndarray) -> Callable[[], np.ndarray]:
    return lambda: array


def _largest(layer: Layer) -> int:
    """The largest group that divides the inputs, 0 if none does."""
    return max((size for size in GROUP_SIZES if layer.shape[1] % size == 0), default=0)


def _grouped(weight: np.ndarray, size: int) -> np.ndarray:
    """(out, in) -> (out, groups, size), contiguous."""
    return np.ascontiguousarray(weight).reshape(len(weight), -1, size)
