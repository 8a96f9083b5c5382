"""8-bit integer weights to ONNX Runtime's MatMulNBits, in the layout that it computes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .linear import constant_of, lazy_constant, linear_readers, replace_linear
from .matmul_nbits import FLOAT_MATH, OPERATOR

if TYPE_CHECKING:
    import onnx_ir as ir

# Inputs that share a scale, as the operator has none for a whole channel; with 128 scales add 3 % to the codes.
BLOCKS = (128, 64, 32, 16)
SIGN = np.uint8(128)  # what the operator takes for 0 where it has no zero points


@dataclass(frozen=True)
class _Form:
    """codes: int8.  scales: (out,) float32.  turned: the codes are (in, out), else (out, in)."""

    codes: ir.TensorProtocol
    scales: ir.TensorProtocol
    turned: bool

    @property
    def sides(self) -> tuple[int, int]:
        """(outputs, inputs)"""
        sides = self.codes.shape.numpy()
        return (sides[1], sides[0]) if self.turned else (sides[0], sides[1])

    @property
    def size(self) -> int | None:
        """The largest block that divides the inputs."""
        return next((size for size in BLOCKS if self.sides[1] % size == 0), None)


def lower_int8(model: ir.Model) -> int:
    """MatMul(x, DequantizeLinear(codes, scale of each output)) -> MatMulNBits(x, codes, scales)

    ONNX Runtime makes the same of a MatMul each time it loads a graph: of SD 1.5's linear layers in 0.6 s and 350 MB
    on a processor, where the operator's own form is mapped from the file in 0.02 s; at a Gemm, and on CUDA, it widens
    the weight in every run.
    Layers whose inputs are rounded to 8 bits too stay as they are: engines compute those in integers.
    """
    count = 0
    for node in list(model.graph):
        form = _form(node)
        readers = [] if form is None else linear_readers(node.outputs[0], form.turned)
        if form is None or form.size is None or not readers or any(map(_reads_rounded, readers)):
            continue
        (outputs, inputs), size = form.sides, form.size
        groups = inputs // size
        constants = [
            lazy_constant(model, f"{form.codes.name}.rows", "UINT8", (outputs, groups, size), _unsigned(form)),
            lazy_constant(model, f"{form.scales.name}.rows", "FLOAT", (outputs, groups), _repeated(form, groups)),
        ]
        attributes = {"N": outputs, "K": inputs, "bits": 8, "block_size": size, "accuracy_level": FLOAT_MATH}
        for reader in readers:
            replace_linear(model, reader, OPERATOR, constants, attributes)
        count += len(readers)
    return count


def _unsigned(form: _Form) -> Callable[[], np.ndarray]:
    """(out, in), each code 128 higher."""

    def convert() -> np.ndarray:
        codes = form.codes.numpy()
        rows = np.ascontiguousarray(codes.T if form.turned else codes).view(np.uint8)
        higher: np.ndarray = rows ^ SIGN
        return higher

    return convert


def _repeated(form: _Form, groups: int) -> Callable[[], np.ndarray]:
    """(out, groups)"""
    return lambda: np.repeat(form.scales.numpy()[:, None], groups, axis=1)


def _reads_rounded(node: ir.Node) -> bool:
    producer = None if node.inputs[0] is None else node.inputs[0].producer()
    return producer is not None and producer.op_type == "DequantizeLinear"


def _form(node: ir.Node) -> _Form | None:
    """What a DequantizeLinear with a scale for each output reads; None for any other node."""
    if node.op_type != "DequantizeLinear" or "block_size" in node.attributes:
        return None
    codes, scales, *zeros = (constant_of(value) for value in node.inputs)
    if codes is None or scales is None or len(codes.shape.numpy()) != 2:
        return None
    axis = node.attributes["axis"].as_int() % 2 if "axis" in node.attributes else 1
    fits = (
        codes.dtype.name == "INT8"
        and scales.dtype.name == "FLOAT"
        and scales.shape.numpy() == (codes.shape.numpy()[axis],)
        and all(zero is not None and not zero.numpy().any() for zero in zeros)
    )
    return _Form(codes, scales, turned=axis == 1) if fits else None
