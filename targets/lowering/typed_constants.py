"""Float constants in 16 bits: which of them survive it, and the conversion."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .constants import stored, tensor_of
from .linear import lazy_constant

if TYPE_CHECKING:
    import onnx_ir as ir

LARGEST = {"fp16": 65504.0, "bf16": 3.38e38}
# Half a step between neighbouring numbers, relative to them: what rounding costs, but for numbers too small for it.
ROUNDING = {"fp16": 2.0**-11, "bf16": 2.0**-8}


def kind_of(math: str) -> ir.DataType:
    import onnx_ir as ir

    return {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}[math]


def is_float(value: ir.Value | None) -> bool:
    """Whether it is a constant of floats, of 16 bits behind a Cast too."""
    tensor = tensor_of(value)
    return tensor is not None and tensor.dtype.name in ("FLOAT", "FLOAT16", "BFLOAT16")


def survives(value: ir.Value, math: str) -> bool:
    """Whether no number gets infinite, and a number that stands alone does not get 0.

    In a whole table of weights 0 is as good as what float16 has no smaller number for; as a factor or a divisor it is
    not.  True for what is no constant.
    """
    tensor = tensor_of(value)
    if tensor is None or tensor.dtype == kind_of(math) or tensor.size == 0:
        return True
    if tensor.size > 1 and tensor.dtype.name == "FLOAT16":
        return True  # its numbers are in every type's reach
    wide = tensor.numpy().astype(np.float32, copy=False)
    if max(wide.max(), -wide.min()) > LARGEST[math] and bool((np.abs(wide[np.isfinite(wide)]) > LARGEST[math]).any()):
        return False
    return wide.size > 1 or bool((wide.astype(kind_of(math).numpy()) != 0) == (wide != 0))


def survives_as_scale(value: ir.Value | None, math: str) -> bool:
    """Whether every number keeps its leading digits: in float16 none below 6.1e-5.  True for what is no constant."""
    tensor = tensor_of(value)
    if tensor is None:
        return True
    wide = tensor.numpy().astype(np.float32)
    with np.errstate(over="ignore"):
        narrow = wide.astype(kind_of(math).numpy()).astype(np.float32)
    return bool((np.abs(narrow - wide) <= np.abs(wide) * ROUNDING[math]).all())


def narrowed(model: ir.Model, value: ir.Value, math: str) -> ir.Value:
    """A float constant in 16 bits, converted when it is written; what it was made from is left to its other readers."""
    source, tensor, kind = stored(value), tensor_of(value), kind_of(math)
    assert source is not None
    assert tensor is not None
    if tensor.dtype == kind:
        return source

    def convert() -> np.ndarray:
        narrow: np.ndarray = tensor.numpy().astype(kind.numpy())
        return narrow

    name = f"{source.name}.{math}"
    held = model.graph.initializers.get(name)
    return lazy_constant(model, name, kind.name, tensor.shape.numpy(), convert) if held is None else held
