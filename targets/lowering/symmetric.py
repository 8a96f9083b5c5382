"""Quantized layers in the form that TensorRT reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .constants import tensor_of

if TYPE_CHECKING:
    import onnx_ir as ir

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
CODES = ("INT8", "INT4", "FLOAT8E4M3FN")
LAYER = "aquatint.layer"  # where quantization notes down whose node it is


def symmetric_problem(model: ir.Model) -> str | None:
    """The first thing about a quantizer that TensorRT can't read, in a sentence with the layer's name; None if none.

    It reads signed codes without an offset and positive scales; in 4 bits of constant weights only, two to the byte.
    Source: onnx-tensorrt 10.1, onnxOpImporters.cpp.
    """
    for node in model.graph:
        if node.op_type in (QUANTIZE, DEQUANTIZE):
            problem = _problem(node)
            if problem is not None:
                name = node.metadata_props.get(LAYER) or node.name or node.outputs[0].name
                return f"{name}: {problem}"
    return None


def drop_zero_points(model: ir.Model) -> int:
    """DequantizeLinear(codes, scales, 0) -> DequantizeLinear(codes, scales)

    TensorRT wants as many zero points as scales, and ONNX none of 0.  QuantizeLinear keeps its own, which says the type
    of the codes.
    """
    from onnx_ir.passes.common import RemoveUnusedNodesPass

    count = 0
    for node in model.graph:
        if node.op_type != DEQUANTIZE or len(node.inputs) < 3 or node.inputs[2] is None:
            continue
        zeros = tensor_of(node.inputs[2])
        if zeros is not None and not zeros.numpy().any():
            node.resize_inputs(2)
            count += 1
    if count:
        RemoveUnusedNodesPass()(model)
    return count


def _problem(node: ir.Node) -> str | None:
    codes, scales = _codes(node), tensor_of(node.inputs[1])
    if codes not in CODES:
        return f"TensorRT has codes of {', '.join(CODES)}, not {codes}; make its quantization symmetric"
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        zeros = tensor_of(node.inputs[2])
        if zeros is None or zeros.numpy().any():
            return "TensorRT has no zero point but 0; make its quantization symmetric"
    if scales is None or not (scales.numpy() > 0).all():
        return "TensorRT wants scales that are constant and positive"
    return _small_problem(node) if codes == "INT4" else None


def _small_problem(node: ir.Node) -> str | None:
    """The same, of 4 bits."""
    weight, scales = tensor_of(node.inputs[0]), tensor_of(node.inputs[1])
    if node.op_type == QUANTIZE or weight is None or scales is None:
        return "TensorRT has 4 bits for constant weights only"
    sides, blocks = weight.shape.numpy(), scales.shape.numpy()
    if sides[-1] % 2:
        return f"TensorRT wants an even number of 4-bit weights in a row, not {sides[-1]}"
    if len(sides) == len(blocks):
        blocked = [side for side, count in zip(sides, blocks, strict=True) if side != count]
        if len(blocked) > 1:
            return "TensorRT wants 4-bit weights in blocks along one axis"
    return None


def _codes(node: ir.Node) -> str:
    """The type of a quantizer's codes, as ONNX spells it; with neither zero point nor attribute it is UINT8."""
    import onnx_ir as ir

    first, zeros = node.inputs[0], node.inputs[2] if len(node.inputs) > 2 else None
    if zeros is not None and zeros.dtype is not None:
        return zeros.dtype.name
    if node.op_type == QUANTIZE:
        asked = node.attributes["output_dtype"].as_int() if "output_dtype" in node.attributes else 0
        return ir.DataType(asked or ir.DataType.UINT8).name
    producer = None if first is None else first.producer()
    if producer is not None and producer.op_type == QUANTIZE:
        return _codes(producer)
    return "unknown" if first is None or first.dtype is None else first.dtype.name
