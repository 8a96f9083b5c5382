"""4-bit weights of linear layers in NormalFloat, byte for byte those of bitsandbytes.

double: what bitsandbytes calls compress_statistics; the blocks' scales take 8 bits in place of 32, which saves 0.37
bits per weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...runtime.errors import BadProfile
from ..activations import Activation
from ..doubled import BLOCK as SHARED
from ..doubled import double
from ..doubled import levels as double_levels
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
SETTINGS: Settings = {"double": False}
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
DOUBLE_LEVELS_NAME = "aquatint.nf4.double_levels"
TIME = "time_emb"  # as in int4
SLICE = 1 << 12  # blocks that are worked on at once, which fit a processor's cache


def check(settings: Settings) -> None:
    if not isinstance(settings["double"], bool):
        raise BadProfile(f"{NAME}'s double is true or false, not {settings['double']!r}")


def calibrated(settings: Settings) -> bool:
    return False


def settle(layer: Layer, settings: Settings) -> tuple[Settings, str]:
    return settings, ""


def refusal(layer: Layer, settings: Settings) -> str | None:
    if TIME in layer.name:
        return "a time embedding's error is in every block"
    if layer.parameters % BLOCK:
        return f"{layer.parameters} weights can't be divided into blocks of {BLOCK}"
    return None


def size_bytes(layer: Layer, settings: Settings) -> int:
    """The tables of levels, which all layers share, are not counted."""
    blocks = layer.parameters // BLOCK
    if not settings["double"]:
        return layer.parameters // 2 + 4 * blocks
    shared = -(-blocks // SHARED)
    return layer.parameters // 2 + SHARED * shared + 4 * shared + 4


def quantize(model: ir.Model, layer: Layer, settings: Settings, activation: Activation | None) -> None:
    """W -> Transpose(Reshape(Mul(Gather(levels, Cast(uint4 codes)), absmax))), blocks along torch's (out, in)

    absmax is a constant, or with `double` what _doubled makes.
    """
    import onnx_ir as ir

    tensor = weight_tensor(model, layer)
    absmax = absmax_of(_blocks(read_weight(tensor, layer)))

    def convert() -> np.ndarray:
        return codes_of(_blocks(read_weight(tensor, layer)), absmax)

    levels = _shared(model, LEVELS_NAME, LEVELS)
    codes = lazy_initializer(model, f"{layer.name}.codes", "UINT4", (len(absmax), BLOCK), convert)
    before = _doubled(model, layer, absmax) if settings["double"] else []
    sizes = before[-1].outputs[0] if before else initializer(model, f"{layer.name}.absmax", absmax[:, None])
    shape = initializer(model, f"{layer.name}.shape", np.array(layer.shape, np.int64))
    index = ir.node("Cast", [codes], attributes={"to": ir.DataType.INT32})
    level = ir.node("Gather", [levels, index.outputs[0]])
    scaled = ir.node("Mul", [level.outputs[0], sizes])
    shaped = ir.node("Reshape", [scaled.outputs[0], shape])
    nodes = [*before, index, level, scaled, shaped]
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


def _doubled(model: ir.Model, layer: Layer, absmax: np.ndarray) -> list[ir.Node]:
    """absmax -> Add(Slice(Reshape(Mul(Gather(levels, Cast(uint8 codes)), sizes))), offset), of shape (blocks, 1)

    Codes are filled up to whole blocks of 256; the Slice takes off what is too much, where there is any.
    """
    import onnx_ir as ir

    found = double(absmax)
    prefix = f"{layer.name}.absmax"
    filled = np.pad(found.codes, (0, -len(absmax) % SHARED)).reshape(-1, SHARED)
    index = ir.node("Cast", [initializer(model, f"{prefix}.codes", filled)], attributes={"to": ir.DataType.INT32})
    level = ir.node("Gather", [_shared(model, DOUBLE_LEVELS_NAME, double_levels()), index.outputs[0]])
    scaled = ir.node("Mul", [level.outputs[0], initializer(model, f"{prefix}.sizes", found.sizes[:, None])])
    column = _shared(model, "aquatint.nf4.column", np.array([-1, 1], np.int64))
    nodes = [index, level, scaled, ir.node("Reshape", [scaled.outputs[0], column])]
    if filled.size > len(absmax):
        ends = [_shared(model, f"aquatint.nf4.{end}", np.array([end], np.int64)) for end in (0, len(absmax))]
        nodes.append(ir.node("Slice", [nodes[-1].outputs[0], *ends]))
    offset = initializer(model, f"{prefix}.offset", np.array(found.offset, np.float32))
    return [*nodes, ir.node("Add", [nodes[-1].outputs[0], offset])]


def _shared(model: ir.Model, name: str, array: np.ndarray) -> ir.Value:
    """A constant that all layers have in common."""
    return model.graph.initializers.get(name) or initializer(model, name, array)


def _blocks(weight: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(weight).reshape(-1, BLOCK)
