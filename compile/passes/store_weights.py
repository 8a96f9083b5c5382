"""Store float weights in fewer bits, widened again where they are used."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

SMALLEST = 256  # elements; below it biases and scales stay as they are: nothing to gain, and constants to lose
_TYPES = {"fp16": ir.DataType.FLOAT16, "bf16": ir.DataType.BFLOAT16}


def store_weights(model: ir.Model, weights: str, lossless: bool = False) -> int:
    """W (float32) -> Cast(W (float16 or bfloat16), to float32)

    weights: "fp16", "bf16" or "fp32" (nothing to do).  lossless: only where the round trip gives back every bit,
    which it does for a checkpoint that was stored in 16 bits.
    A value past float16's range keeps its tensor in float32.
    """
    if weights == "fp32":
        return 0
    kind = _TYPES[weights]
    count = 0
    for value in list(model.graph.initializers.values()):
        if value.dtype != ir.DataType.FLOAT or value.const_value is None or value.const_value.size < SMALLEST:
            continue
        wide = value.const_value.numpy()
        if lossless and not _survives(wide.reshape(-1)[:SMALLEST], kind):
            continue
        with np.errstate(over="ignore"):
            narrow = wide.astype(kind.numpy())
        back = narrow.astype(np.float32)
        if not (np.array_equal(back, wide) if lossless else np.isfinite(back).all()):
            continue
        _narrow(model, value, ir.Tensor(narrow, dtype=kind, name=f"{value.name}_{weights}"))
        count += 1
    return count


def _survives(wide: np.ndarray, kind: ir.DataType) -> bool:
    with np.errstate(over="ignore"):
        return np.array_equal(wide.astype(kind.numpy()).astype(np.float32), wide)


def _narrow(model: ir.Model, value: ir.Value, stored: ir.Tensor) -> None:
    small = ir.Value(name=stored.name, type=ir.TensorType(stored.dtype), shape=value.shape, const_value=stored)
    cast = ir.node("Cast", [small], attributes={"to": ir.DataType.FLOAT}, name=f"{value.name}_widen")
    wide = cast.outputs[0]
    wide.name = f"{value.name}_wide"
    wide.dtype, wide.shape = ir.DataType.FLOAT, value.shape
    assert value.name is not None
    assert small.name is not None
    uses = list(value.uses())
    first = uses[0].node if uses else None
    for use in uses:
        use.node.replace_input_with(use.idx, wide)
    model.graph.initializers.pop(value.name)
    value.const_value = None
    model.graph.initializers[small.name] = small
    if first is not None:
        model.graph.insert_before(model.graph[0], cast)
