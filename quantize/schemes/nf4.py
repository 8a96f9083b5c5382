"""4-bit weights of linear layers in NormalFloat, byte for byte those of bitsandbytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..layers import Layer
from ..weights import initializer, lazy_initializer, read_weight, replace_weight, weight_tensor

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..scheme import Settings

NAME = "nf4"
DESCRIPTION = "4-bit weights of linear layers on bitsandbytes' NF4 levels; convolutions get 8 bits"
BITS = 4.5
KINDS = ("linear",)
OPSET = 21  # the first with 4-bit types
FALLBACK = "int8-weights"
SETTINGS: Settings = {}
BLOCK = 64  # weights of one absmax, along the flattened (out, in)
# Quantiles of a normal distribution scaled to [-1, 1], with 0 among them.  Source: Dettmers et al. 2023,
# arXiv:2305.14314, appendix E.
LEVELS = np.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
        -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
        0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
        0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ],
    np.float32,
)  # fmt: skip
# The codes begin where the level below ends; a weight on a bound goes to the level below.
BOUNDS = (LEVELS[1:] + LEVELS[:-1]) / np.float32(2)
LEVELS_NAME = "aquatint.nf4.levels"
SLICE = 1 << 12  # blocks that are worked on at once, which fit a processor's cache


def check(settings: Settings) -> None:
    """There is nothing to choose."""


def settle(layer: Layer, settings: Settings) -> tuple[Settings, str]:
    return settings, ""


def refusal(layer: Layer, settings: Settings) -> str | None:
    if layer.parameters % BLOCK:
        return f"{layer.parameters} weights can't be divided into blocks of {BLOCK}"
    return None


def size_bytes(layer: Layer, settings: Settings) -> int:
    """The table of levels, which all layers share, is not counted."""
    return layer.parameters // 2 + 4 * (layer.parameters // BLOCK)


def quantize(model: ir.Model, layer: Layer, settings: Settings) -> None:
    """W -> Transpose(Reshape(Mul(Gather(levels, Cast(uint4 codes)), absmax))), blocks along torch's (out, in)"""
    import onnx_ir as ir

    tensor = weight_tensor(model, layer)
    absmax = absmax_of(_blocks(read_weight(tensor, layer)))

    def convert() -> np.ndarray:
        return codes_of(_blocks(read_weight(tensor, layer)), absmax)

    levels = model.graph.initializers.get(LEVELS_NAME) or initializer(model, LEVELS_NAME, LEVELS)
    codes = lazy_initializer(model, f"{layer.name}.codes", "UINT4", (len(absmax), BLOCK), convert)
    sizes = initializer(model, f"{layer.name}.absmax", absmax[:, None])
    shape = initializer(model, f"{layer.name}.shape", np.array(layer.shape, np.int64))
    index = ir.node("Cast", [codes], attributes={"to": ir.DataType.INT32})
    level = ir.node("Gather", [levels, index.outputs[0]])
    scaled = ir.node("Mul", [level.outputs[0], sizes])
    shaped = ir.node("Reshape", [scaled.outputs[0], shape])
    nodes = [index, level, scaled, shaped]
    if layer.turned:
        nodes.append(ir.node("Transpose", [shaped.outputs[0]], attributes={"perm": [1, 0]}))
    replace_weight(model, layer, NAME, nodes)


def absmax_of(blocks: np.ndarray) -> np.ndarray:
    """(blocks,) float32.  blocks: (blocks, 64)."""
    return np.maximum(blocks.max(1), -blocks.min(1)) + np.float32(0)  # no negative zero


def codes_of(blocks: np.ndarray, absmax: np.ndarray) -> np.ndarray:
    """uint8 up to 15, of the blocks' shape.

    Multiplied by the inverse, as bitsandbytes does: a division would put a few weights on the other side of a bound.
    """
    inverse = np.float32(1) / np.maximum(absmax, np.float32(1e-38))
    codes = np.empty(blocks.shape, np.uint8)
    for start in range(0, len(blocks), SLICE):
        part = slice(start, start + SLICE)
        codes[part] = np.searchsorted(BOUNDS, blocks[part] * inverse[part, None], side="left")
    return codes


def packed(codes: np.ndarray) -> np.ndarray:
    """bitsandbytes' and MatMulBnb4's bytes: two codes each, the first in the high half; ONNX has it in the low one."""
    flat = codes.reshape(-1)
    both: np.ndarray = (flat[::2] << np.uint8(4)) | flat[1::2]
    return both


def _blocks(weight: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(weight).reshape(-1, BLOCK)
