"""Types that follow from what a node reads."""

import numpy as np
import pytest

from aquatint.runtime.errors import BadModel
from aquatint.targets.lowering.value_types import fill_types

ir = pytest.importorskip("onnx_ir")


def test_types_follow_from_the_operator(sketch):
    x = sketch.input("x", 2, 3, kind="FLOAT16")
    axis = sketch.constant("axis", np.array([0]))
    scale, zero = sketch.constant("scale", np.array(1, np.float32)), sketch.constant("zero", np.array(0, np.int8))
    values = {
        "FLOAT16": sketch.add("Where", sketch.input("mask", 2, 3, kind="BOOL"), x, x, kind=None),
        "INT64": sketch.add("Shape", x, kind=None),
        "BOOL": sketch.add("Less", x, x, kind=None),
        "DOUBLE": sketch.add("Cast", x, to=11, kind=None),
        "INT8": sketch.add("QuantizeLinear", x, scale, zero, kind=None),
        "UINT8": sketch.add("QuantizeLinear", x, scale, kind=None),
    }
    wide = sketch.add("DequantizeLinear", values["INT8"], scale, zero, kind=None)
    row = sketch.add("Unsqueeze", wide, axis, kind=None)
    for name, value in (*values.items(), ("wide", wide), ("row", row)):
        sketch.output(name, value)
    model = sketch.model()
    assert fill_types(model) == 8
    assert {name: value.dtype.name for name, value in values.items()} == {name: name for name in values}
    assert wide.dtype == row.dtype == ir.DataType.FLOAT
    assert fill_types(model) == 0


def test_a_type_that_nothing_says_is_asked_for(sketch):
    sketch.output("made", sketch.add("RandomNormal", kind=None))
    with pytest.raises(BadModel, match="does not say the type of made, made by RandomNormal"):
        fill_types(sketch.model())
