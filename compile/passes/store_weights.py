"""Store float weights in fewer bits, widened again where they are used."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...quantize.weights import SCHEME

SMALLEST = 256  # elements; below it biases and scales stay as they are: nothing to gain, and constants to lose
LARGEST = {"fp16": 65504.0, "bf16": 3.38e38}
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
        if any(SCHEME in use.node.metadata_props for use in value.uses()):
            continue  # scales of quantized weights
        wide = value.const_value.numpy()
        if _survives(wide, kind) if lossless else np.abs(wide).max() <= LARGEST[weights]:
            _narrow(model, value, value.const_value, weights)
            count += 1
    return count


def _survives(wide: np.ndarray, kind: ir.DataType) -> bool:
    """Whether the round trip gives back every bit; most tensors that do not are known by their first values."""
    with np.errstate(over="ignore"):
        return all(
            np.array_equal(part.astype(kind.numpy()).astype(np.float32), part)
            for part in (wide.reshape(-1)[:SMALLEST], wide)
        )


def _narrow(model: ir.Model, value: ir.Value, wide: ir.TensorProtocol, weights: str) -> None:
    kind, name = _TYPES[weights], f"{value.name}_{weights}"

    def convert() -> ir.Tensor:
        return ir.Tensor(wide.numpy().astype(kind.numpy()), dtype=kind, name=name)

    # Converted when it is written, so that only one tensor at a time is in memory twice.
    stored = ir.LazyTensor(convert, dtype=kind, shape=ir.Shape(wide.numpy().shape), name=name)
    small = ir.Value(name=name, type=ir.TensorType(kind), shape=value.shape, const_value=stored)
    cast = ir.node("Cast", [small], attributes={"to": ir.DataType.FLOAT}, name=f"{value.name}_widen")
    widened = cast.outputs[0]
    widened.name = f"{value.name}_wide"
    widened.dtype, widened.shape = ir.DataType.FLOAT, value.shape
    for use in list(value.uses()):
        use.node.replace_input_with(use.idx, widened)
    model.graph.initializers.pop(str(value.name))
    value.const_value = None
    model.graph.initializers[name] = small
    model.graph.insert_before(model.graph[0], cast)
