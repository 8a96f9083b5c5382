"""NormalFloat weights to constants of OpenVINO's own nf4 type, which its plugins keep compressed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import openvino


def lower_nf4(model: openvino.Model) -> int:
    """Reshape(Multiply(Gather(levels, Convert(u4 codes)), absmax)) -> Reshape(Multiply(Convert(nf4 codes), absmax))

    Codes are made (out, in / size, size), which the CPU's FullyConnected computes from.  Where blocks go over the ends
    of rows they stay (blocks, size), and the weight is widened when the model is compiled.
    """
    from openvino import opset13

    count = 0
    for level in model.get_ordered_ops():
        codes, scaled, shaped = _form(level)
        if shaped is None:
            continue
        blocks, size = codes.get_output_shape(0)
        outputs, inputs = shaped.get_output_shape(0)
        groups = [outputs, inputs // size] if inputs % size == 0 else [blocks]
        # Both types have the first code in the low half of a byte, so that the bytes stay.
        small = _constant(codes.data, [*groups, size])
        small.set_friendly_name(codes.get_friendly_name())
        absmax = scaled.input_value(1).get_node()
        sizes = opset13.constant(absmax.data.reshape([*groups, 1]))
        sizes.set_friendly_name(absmax.get_friendly_name())
        wide = opset13.multiply(opset13.convert(small, "f32"), sizes)
        weight = opset13.reshape(wide, np.array([outputs, inputs], np.int64), False)
        weight.set_friendly_name(shaped.get_friendly_name())
        shaped.output(0).replace(weight.output(0))
        count += 1
    model.validate_nodes_and_infer_types()
    return count


def _form(level: Any) -> tuple[Any, Any, Any]:
    """(codes, Multiply, Reshape) around a Gather that looks NF4 levels up; three times None for any other node."""
    none = None, None, None
    if level.get_type_name() != "Gather":
        return none
    table, index = (level.input_value(place).get_node() for place in (0, 1))
    if index.get_type_name() != "Convert" or not _is_constant(table) or not _has_levels(table):
        return none
    codes, scaled = index.input_value(0).get_node(), _reader(level, "Multiply")
    shaped = None if scaled is None else _reader(scaled, "Reshape")
    if shaped is None or not _is_constant(codes) or codes.get_element_type().get_type_name() != "u4":
        return none
    flat = len(codes.get_output_shape(0)) == 2 and len(shaped.get_output_shape(0)) == 2
    sizes = scaled.input_value(1).get_node()
    if not flat or not _is_constant(sizes) or list(sizes.get_output_shape(0)) != [codes.get_output_shape(0)[0], 1]:
        return none
    return codes, scaled, shaped


def _has_levels(table: Any) -> bool:
    """Whether they are those of OpenVINO's nf4, bit for bit."""
    first = np.arange(0, 16, 2, dtype=np.uint8)
    every = _constant(first | (first + 1 << 4), [16])
    return bool(np.array_equal(table.data, every.get_data(dtype=np.float32)))


def _constant(packed: np.ndarray, shape: list[int]) -> Any:
    """Of nf4, in memory of its own: made of an array, it would point into one that may be gone when it is written."""
    import openvino

    tensor = openvino.Tensor(openvino.Type.nf4, shape)
    tensor.data[:] = packed
    return openvino.op.Constant(tensor)


def _is_constant(node: Any) -> bool:
    return bool(node.get_type_name() == "Constant")


def _reader(node: Any, kind: str) -> Any:
    """The one node that reads it, where that is of a kind."""
    readers = [port.get_node() for port in node.output(0).get_target_inputs()]
    return readers[0] if len(readers) == 1 and readers[0].get_type_name() == kind else None
