"""8-bit weights and 8-bit activations with fixed ranges, found by calibration; computed in integers."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from ..activations import Activation
from ..inputs import round_input, rounded_before
from ..layers import Layer
from ..ranges import Range, Wishes, check_wishes, find_range
from ..readers import readers
from ..weights import read_weight, weight_tensor
from . import int8_weights

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..scheme import Settings

NAME = "int8"
DESCRIPTION = "8-bit weights and activations, with ranges from calibration, computed with in integers"
BITS = int8_weights.BITS
KINDS = ("linear", "conv")
OPSET = 13
FALLBACK = "int8-weights"
SETTINGS: Settings = {field.name: field.default for field in fields(Wishes)}
LEAST = 16  # channels in and out, below which 8 bits gain nothing: the first and the last layer
# What a residual block adds its result to: its error reaches the output undiminished (in the demo model one such layer
# lost 1.6 % of the UNet's output, all others together 2.2 %), and a 1 x 1 convolution is cheap.
SHORTCUT = ".conv_shortcut"


def check(settings: Settings) -> None:
    check_wishes(NAME, settings)


def calibrated(settings: Settings) -> bool:
    return True


def settle(layer: Layer, settings: Settings) -> tuple[Settings, str]:
    return settings, ""


def refusal(layer: Layer, settings: Settings) -> str | None:
    if min(layer.shape[:2]) < LEAST:
        return f"{layer.shape[1]} channels in and {layer.shape[0]} out are too few to gain by 8 bits"
    if layer.name.endswith(SHORTCUT):
        return "a shortcut's error reaches the output undiminished"
    return None


def size_bytes(layer: Layer, settings: Settings) -> int:
    """With a factor for each channel, which not every layer gets."""
    return int8_weights.size_bytes(layer, settings) + 4 * layer.shape[1] + 5


def quantize(model: ir.Model, layer: Layer, settings: Settings, activation: Activation | None) -> None:
    """MatMul(x, W) -> MatMul(DQ(Q(x * factors)), DQ(codes of W / factors)), Gemm and Conv alike

    Q: QuantizeLinear, DQ: DequantizeLinear.  What stands before a layer is shared by all that read the same x; the
    first of them chooses it.
    """
    nodes = readers(model, [layer])[layer.name]
    value = nodes[0].inputs[0]
    assert value is not None
    rounded = rounded_before(value, NAME)
    if rounded is None:
        assert activation is not None
        weight = read_weight(weight_tensor(model, layer), layer)
        # OpenVINO 2026.4 takes the rounding of a turned value before the turn, and the factors to another axis then:
        # 4 % of the demo UNet's output.
        producer = value.producer()
        turned = producer is not None and producer.op_type == "Transpose"
        wishes = Wishes(**{**settings, "balance": settings["balance"] and not turned})
        rounded = _round(model, layer, nodes[0], find_range(activation, weight, wishes))
    for node in nodes:
        node.replace_input_with(0, rounded)
    factors = model.graph.initializers.get(f"{value.name}.{NAME}.factors")
    given = None if factors is None or factors.const_value is None else factors.const_value.numpy().reshape(-1)
    int8_weights.store(model, layer, NAME, given)


def _round(model: ir.Model, layer: Layer, node: ir.Node, found: Range) -> ir.Value:
    zero = np.array(0, np.int8) if found.zero_point is None else np.array(found.zero_point, np.uint8)
    return round_input(model, layer, node, NAME, found.scale, zero, found.factors)
