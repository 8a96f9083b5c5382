"""8-bit floats (E4M3) for weights and activations, one scale for each tensor; computed in 8 bits by NVIDIA's GPUs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..activations import Activation
from ..inputs import round_input, rounded_before
from ..layers import Layer
from ..ranges import Codes, Wishes, check_wishes, find_range
from ..readers import readers
from ..weights import initializer, lazy_initializer, read_weight, replace_weight, weight_tensor
from . import int8

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..scheme import Settings

NAME = "fp8"
DESCRIPTION = "8-bit floats (E4M3) for weights and activations, with ranges from calibration"
BITS = 8.0
KINDS = ("linear", "conv")
OPSET = 19  # the first with 8-bit floats
FALLBACK = "int8-weights"
# No zero point, as floats have none; no factors, as their steps are as fine for a quiet channel as for a loud one.
SETTINGS: Settings = {"method": Wishes.method, "percentile": Wishes.percentile}
LARGEST = 448.0  # what E4M3 reaches
SLICE = 1 << 16  # weights that are rounded at once


def check(settings: Settings) -> None:
    check_wishes(NAME, settings)


def calibrated(settings: Settings) -> bool:
    return True


def settle(layer: Layer, settings: Settings) -> tuple[Settings, str]:
    return settings, ""


def refusal(layer: Layer, settings: Settings) -> str | None:
    return int8.refusal(layer, int8.SETTINGS)


def size_bytes(layer: Layer, settings: Settings) -> int:
    """The weight and its scale, and the activation's scale and zero point."""
    return layer.parameters + 4 + 4 + 1


def quantize(model: ir.Model, layer: Layer, settings: Settings, activation: Activation | None) -> None:
    """MatMul(x, W) -> MatMul(DQ(Q(x)), DQ(codes of W)), Gemm and Conv alike

    Q: QuantizeLinear, DQ: DequantizeLinear.  W has one scale, not one for each output: TensorRT multiplies in 8 bits
    only where both sides have one, and for floats it costs little.
    """
    import onnx_ir as ir

    nodes = readers(model, [layer])[layer.name]
    value = nodes[0].inputs[0]
    assert value is not None
    tensor = weight_tensor(model, layer)
    weight = read_weight(tensor, layer)
    rounded = rounded_before(value, NAME)
    if rounded is None:
        assert activation is not None
        wishes = Wishes(settings["method"], True, settings["percentile"], balance=False)
        found = find_range(activation, weight, wishes, CODES)
        zero = rounded_floats(np.zeros((), np.float32), np.float32(1))
        rounded = round_input(model, layer, nodes[0], NAME, found.scale, zero, None)
    for node in nodes:
        node.replace_input_with(0, rounded)
    scale = scale_of(weight)

    def convert() -> np.ndarray:
        return rounded_floats(tensor.numpy(), scale)

    codes = lazy_initializer(model, f"{layer.name}.codes", "FLOAT8E4M3FN", tensor.shape.numpy(), convert)
    width = initializer(model, f"{layer.name}.scale", np.array(scale, np.float32))
    replace_weight(model, layer, NAME, [ir.node("DequantizeLinear", [codes, width])])


def scale_of(weight: np.ndarray) -> np.float32:
    """Positive: the largest magnitude over 448.  A weight of one magnitude has that, and comes back bit for bit."""
    largest = np.maximum(weight.max(), -weight.min())
    scale = largest if np.abs(weight).min() == largest else largest / np.float32(LARGEST)
    return np.float32(scale) if scale > 0 else np.float32(1)


def rounded_floats(values: np.ndarray, scale: np.float32) -> np.ndarray:
    """The nearest codes, in E4M3 as NumPy has it by ml_dtypes; what is too large gets the largest."""
    import ml_dtypes

    flat = values.reshape(-1)
    codes = np.empty(flat.shape, ml_dtypes.float8_e4m3fn)
    for start in range(0, flat.size, SLICE):
        part = slice(start, start + SLICE)
        codes[part] = np.clip(flat[part].astype(np.float32) / scale, -LARGEST, LARGEST).astype(codes.dtype)
    return codes.reshape(values.shape)


def fake(values: np.ndarray, scale: np.float32, zero_point: int | None) -> np.ndarray:
    """The values as 8 bits give them back, float32.  zero_point: None, for floats have none."""
    given: np.ndarray = rounded_floats(values, scale).astype(np.float32) * scale
    return given


def _lost(weight: np.ndarray) -> np.ndarray:
    errors = fake(weight, scale_of(weight), None) - weight
    return np.square(errors).sum(axis=tuple(axis for axis in range(weight.ndim) if axis != 1))


CODES = Codes(LARGEST, fake, _lost)
