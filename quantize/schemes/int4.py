"""4-bit weights of linear layers, in groups along the inputs, with the scales of least error.

feedback: codes are chosen one after the other to make up for each other's errors, by what calibration recorded; on the
demo's UNet this leaves 0.4 of the error of the nearest codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...runtime.errors import BadProfile
from ..activations import Activation
from ..gptq import round_with_feedback
from ..grid import codes_of, search
from ..layers import Layer
from ..weights import initializer, packed_initializer, read_weight, replace_weight, weight_tensor

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..scheme import Settings

NAME = "int4"
DESCRIPTION = "4-bit weights of linear layers, with a scale for each group of inputs; convolutions get 8 bits"
BITS = 4.5
KINDS = ("linear",)
OPSET = 21  # the first with 4-bit types and blocks
FALLBACK = "int8-weights"
SETTINGS: Settings = {"group_size": 64, "symmetric": True, "feedback": True}
GROUP_SIZES = (32, 64, 128)
# In names of layers that make the denoiser's time embedding, or read it.  Of the demo's UNet, in 4 bits with feedback
# they lost half a per cent of the output, without it more than all other layers together; they are 3 % of SD 1.5's.
TIME = "time_emb"


def check(settings: Settings) -> None:
    size = settings["group_size"]
    if isinstance(size, bool) or size not in GROUP_SIZES:
        raise BadProfile(f"{NAME} has group_size {', '.join(map(str, GROUP_SIZES))}, not {size!r}")
    for name in ("symmetric", "feedback"):
        if not isinstance(settings[name], bool):
            raise BadProfile(f"{NAME}'s {name} is true or false, not {settings[name]!r}")


def calibrated(settings: Settings) -> bool:
    return bool(settings["feedback"])


def settle(layer: Layer, settings: Settings) -> tuple[Settings, str]:
    asked, size = settings["group_size"], _largest(layer)
    if size == 0 or layer.shape[1] % asked == 0:
        return settings, ""
    return {**settings, "group_size": size}, f"groups of {size}, as {asked} does not divide {layer.shape[1]} inputs"


def refusal(layer: Layer, settings: Settings) -> str | None:
    if TIME in layer.name:
        return "a time embedding's error is in every block"
    if _largest(layer) == 0:
        return f"{layer.shape[1]} inputs can't be divided into groups of {', '.join(map(str, GROUP_SIZES))}"
    return None


def size_bytes(layer: Layer, settings: Settings) -> int:
    groups = layer.parameters // settings["group_size"]
    zero_points = 0 if settings["symmetric"] else (groups + 1) // 2
    return (layer.parameters + 1) // 2 + 4 * groups + zero_points


def quantize(model: ir.Model, layer: Layer, settings: Settings, activation: Activation | None) -> None:
    """W -> DequantizeLinear(int4 codes, scales, block_size along the inputs), uint4 with zero points if asymmetric"""
    import onnx_ir as ir

    weight = _grouped(read_weight(weight_tensor(model, layer), layer), settings["group_size"])
    grid = search(weight, settings["symmetric"])
    if activation is None or not settings["feedback"]:
        codes = codes_of(weight, grid)
    else:
        codes = round_with_feedback(weight, grid, activation.feedback)

    def laid_out(array: np.ndarray) -> np.ndarray:
        return array.T if layer.turned else array

    kind = "INT4" if settings["symmetric"] else "UINT4"
    values = [
        packed_initializer(model, f"{layer.name}.codes", kind, laid_out(codes.reshape(layer.shape))),
        initializer(model, f"{layer.name}.scales", laid_out(grid.scales)),
    ]
    if grid.zero_points is not None:
        values.append(packed_initializer(model, f"{layer.name}.zero_points", kind, laid_out(grid.zero_points)))
    blocks = {"axis": 0 if layer.turned else 1, "block_size": settings["group_size"]}
    replace_weight(model, layer, NAME, [ir.node("DequantizeLinear", values, attributes=blocks)])


def _largest(layer: Layer) -> int:
    """The largest group that divides the inputs, 0 if none does."""
    return max((size for size in GROUP_SIZES if layer.shape[1] % size == 0), default=0)


def _grouped(weight: np.ndarray, size: int) -> np.ndarray:
    """(out, in) -> (out, groups, size), contiguous."""
    return np.ascontiguousarray(weight).reshape(len(weight), -1, size)
