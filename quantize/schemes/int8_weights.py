"""8-bit weights, one scale for each output channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..activations import Activation
from ..layers import Layer
from ..weights import initializer, lazy_initializer, read_weight, replace_weight, weight_tensor

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..scheme import Settings

NAME = "int8-weights"
DESCRIPTION = "8-bit weights with a scale for each output channel, computed with in floats"
BITS = 8.1
KINDS = ("linear", "conv")
OPSET = 13
FALLBACK = "none"
SETTINGS: Settings = {}
LIMIT = 127  # of the codes; -128 has no counterpart and stays unused


def check(settings: Settings) -> None:
    """There is nothing to choose."""


def calibrated(settings: Settings) -> bool:
    return False


def settle(layer: Layer, settings: Settings) -> tuple[Settings, str]:
    return settings, ""


def refusal(layer: Layer, settings: Settings) -> str | None:
    return None


def size_bytes(layer: Layer, settings: Settings) -> int:
    return layer.parameters + 4 * layer.shape[0]


def quantize(model: ir.Model, layer: Layer, settings: Settings, activation: Activation | None) -> None:
    """W -> DequantizeLinear(int8 codes, scales, axis of the outputs)"""
    store(model, layer, NAME)


def store(model: ir.Model, layer: Layer, scheme: str, factors: np.ndarray | None = None) -> None:
    """The same for another scheme.  factors: (inputs,), by which the weights are divided before; None: by 1."""
    import onnx_ir as ir

    tensor = weight_tensor(model, layer)

    def read() -> np.ndarray:
        weight = read_weight(tensor, layer)
        return weight if factors is None else weight / factors.reshape(1, -1, *(1,) * (weight.ndim - 2))

    scales = scales_of(read())

    def convert() -> np.ndarray:
        codes = codes_of(read(), scales)
        return codes.T if layer.turned else codes

    stored = layer.shape[::-1] if layer.turned else layer.shape
    codes = lazy_initializer(model, f"{layer.name}.codes", "INT8", stored, convert)
    widths = initializer(model, f"{layer.name}.scales", scales)
    axis = 1 if layer.turned else 0
    node = ir.node("DequantizeLinear", [codes, widths], attributes={"axis": axis})
    replace_weight(model, layer, scheme, [node])


def scales_of(weight: np.ndarray) -> np.ndarray:
    """(out,) float32, positive: the largest magnitude of each output channel over 127.

    weight: (out, ...).  A channel of one magnitude has that as its scale, so that it comes back bit for bit.
    """
    flat = weight.reshape(len(weight), -1)
    largest, smallest = np.maximum(flat.max(1), -flat.min(1)), np.zeros(len(flat), np.float32)
    same = np.abs(flat[:, 0]) == largest
    smallest[same] = np.abs(flat[same]).min(1)
    scales = np.where(smallest == largest, largest, largest / np.float32(LIMIT))
    return np.where(scales > 0, scales, np.float32(1))


def codes_of(weight: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """int8, of the weight's shape; channel by channel, so that no float copy of it all is made."""
    codes = np.empty(weight.shape, np.int8)
    for row, scale, into in zip(weight, scales, codes, strict=True):
        into[...] = np.clip(np.rint(row / scale), -LIMIT, LIMIT)
    return codes
