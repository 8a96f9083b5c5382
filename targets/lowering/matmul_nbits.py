"""4-bit integer weights to ONNX Runtime's MatMulNBits, in the layout that it computes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .linear import constant_of, lazy_constant, linear_readers, replace_linear

if TYPE_CHECKING:
    import onnx_ir as ir

OPERATOR = "MatMulNBits"
FLOAT_MATH = 1  # its accuracy_level; 4 would round the activations to 8 bits
BLOCKS = (16, 32, 64, 128, 256)


@dataclass(frozen=True)
class _Form:
    """codes: int4, or uint4 with zero points.  turned: all are (in, out), with groups along the inputs."""

    codes: ir.TensorProtocol
    scales: ir.TensorProtocol
    zero_points: ir.TensorProtocol | None
    size: int
    turned: bool


def lower_int4(model: ir.Model) -> int:
    """MatMul(x, DequantizeLinear(codes, scales, zero points, block_size)) -> MatMulNBits(x, codes, scales, zero points)

    ONNX Runtime makes the same of a MatMul each time it loads a graph, which takes 2 to 3 times as long and twice the
    memory; at a Gemm it widens the weight in every run.
    """
    count = 0
    for node in list(model.graph):
        form = _form(node)
        readers = [] if form is None else linear_readers(node.outputs[0], form.turned)
        if form is None or not readers:
            continue
        sides = form.codes.shape.numpy()
        inputs, outputs = sides if form.turned else sides[::-1]
        groups = inputs // form.size
        codes, scales, zeros = form.codes, form.scales, form.zero_points
        stored = (outputs, groups, form.size // 2)
        constants = [
            lazy_constant(model, f"{codes.name}.rows", "UINT8", stored, _packed(codes, form.turned)),
            lazy_constant(model, f"{scales.name}.rows", "FLOAT", (outputs, groups), _rows(scales, form.turned)),
        ]
        if zeros is not None:
            halved = (outputs, (groups + 1) // 2)
            constants.append(lazy_constant(model, f"{zeros.name}.rows", "UINT8", halved, _packed(zeros, form.turned)))
        attributes = {
            "N": outputs, "K": inputs, "bits": 4, "block_size": form.size, "accuracy_level": FLOAT_MATH
        }  # fmt: skip
        for reader in readers:
            replace_linear(model, reader, OPERATOR, constants, attributes)
        count += len(readers)
    return count


def _rows(tensor: ir.TensorProtocol, turned: bool) -> Callable[[], np.ndarray]:
    """(out, ...), as the operator has it."""
    return lambda: tensor.numpy().T if turned else tensor.numpy()


def _packed(tensor: ir.TensorProtocol, turned: bool) -> Callable[[], np.ndarray]:
    """Two to the byte, the first in the low half, each row by itself; signed codes by 8 higher, as it has no signs."""

    def pack() -> np.ndarray:
        array = tensor.numpy()
        signed = tensor.dtype.name == "INT4"
        codes = (array.astype(np.int8) + np.int8(8)).view(np.uint8) if signed else array.astype(np.uint8)
        codes = np.ascontiguousarray(codes.T) if turned else codes
        if codes.shape[1] % 2:
            codes = np.pad(codes, ((0, 0), (0, 1)))
        low: np.ndarray = codes[:, ::2] | (codes[:, 1::2] << np.uint8(4))
        return low

    return pack


def _form(node: ir.Node) -> _Form | None:
    """What a blocked DequantizeLinear reads; None for any other node, and for what the operator can't say."""
    if node.op_type != "DequantizeLinear" or "block_size" not in node.attributes:
        return None
    size = node.attributes["block_size"].as_int()
    axis = node.attributes["axis"].as_int() if "axis" in node.attributes else 1
    codes, scales, *zeros = (constant_of(value) for value in node.inputs)
    if codes is None or scales is None or None in zeros or len(codes.shape.numpy()) != 2:
        return None
    axis %= 2
    fits = (
        size in BLOCKS
        and codes.shape.numpy()[axis] % size == 0
        and scales.dtype.name == "FLOAT"
        # Where zero points are left out they are 0, and 8 in the operator: right for codes that were made 8 higher.
        and codes.dtype.name == ("UINT4" if zeros else "INT4")
    )
    return _Form(codes, scales, zeros[0] if zeros else None, size, axis == 0) if fits else None
