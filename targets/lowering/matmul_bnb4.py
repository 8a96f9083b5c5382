"""NormalFloat weights to ONNX Runtime's MatMulBnb4, which takes bitsandbytes' bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .linear import constant_of, lazy_constant, linear_readers, replace_linear

if TYPE_CHECKING:
    import onnx_ir as ir

OPERATOR = "MatMulBnb4"
QUANT_TYPE = 1  # its number for NF4
# What the operator takes the codes for; other levels stay in the plain form.
# Source: ONNX Runtime, contrib_ops/cpu/quantization/blockwise_quant_block_bnb4.h.
LEVELS = np.array(
    [
        -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
        -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
        0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
        0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
    ],
    np.float32,
)  # fmt: skip
BLOCKS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)


@dataclass(frozen=True)
class _Form:
    """codes: (blocks, size) uint4.  absmax: (blocks, 1) float32.  shape: (out, in)."""

    codes: ir.TensorProtocol
    absmax: ir.TensorProtocol
    shape: tuple[int, int]


def lower_nf4(model: ir.Model) -> int:
    """MatMul(x, Transpose(Reshape(Mul(Gather(levels, Cast(codes)), absmax)))) -> MatMulBnb4(x, codes, absmax)

    Blocks lie along the flattened (out, in), in the operator too, so that one may go over the end of a row.
    What is left alone gives the same numbers, but ONNX Runtime widens its weights when it loads.
    """
    count = 0
    for node in list(model.graph):
        form = _form(node)
        readers = [] if form is None else linear_readers(node.outputs[0], turned=False)
        if form is None or not readers:
            continue
        blocks, size = form.codes.shape.numpy()
        constants = [
            lazy_constant(model, f"{form.codes.name}.high_first", "UINT8", (blocks * size // 2,), _turned(form.codes)),
            lazy_constant(model, f"{form.absmax.name}.flat", "FLOAT", (blocks,), form.absmax.numpy),
        ]
        attributes = {"N": form.shape[0], "K": form.shape[1], "block_size": size, "quant_type": QUANT_TYPE}
        for reader in readers:
            replace_linear(model, reader, OPERATOR, constants, attributes)
        count += len(readers)
    return count


def _turned(codes: ir.TensorProtocol) -> Callable[[], np.ndarray]:
    """The codes two to the byte, the first in the high half; ONNX has it in the low one."""

    def turn() -> np.ndarray:
        low = np.frombuffer(codes.tobytes(), np.uint8)
        high: np.ndarray = (low << np.uint8(4)) | (low >> np.uint8(4))
        return high

    return turn


def _form(last: ir.Node) -> _Form | None:
    """What a Reshape is the last node of; None for any other node or form."""
    scaled = _made_by(last.inputs[0], "Mul") if last.op_type == "Reshape" else None
    level = None if scaled is None else _made_by(scaled.inputs[0], "Gather")
    index = None if level is None else _made_by(level.inputs[1], "Cast")
    if scaled is None or level is None or index is None:
        return None
    levels, codes = constant_of(level.inputs[0]), constant_of(index.inputs[0])
    absmax, shape = constant_of(scaled.inputs[1]), constant_of(last.inputs[1])
    if levels is None or codes is None or absmax is None or shape is None:
        return None
    blocks, rows = codes.shape.numpy(), tuple(int(side) for side in shape.numpy())
    fits = (
        codes.dtype.name == "UINT4"
        and len(blocks) == 2
        and blocks[1] in BLOCKS
        and absmax.shape.numpy() == (blocks[0], 1)
        and np.array_equal(levels.numpy(), LEVELS)
        and len(rows) == 2
        and min(rows) > 0
    )
    return _Form(codes, absmax, (rows[0], rows[1])) if fits else None


def _made_by(value: ir.Value | None, op_type: str) -> ir.Node | None:
    node = None if value is None else value.producer()
    return node if node is not None and node.op_type == op_type else None
