"""What is inside of the stand-in's plans: what they are bound to, and the ONNX that they run."""

from __future__ import annotations

import functools
import hashlib
import json
import struct
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

MAGIC = b"notatrt\0"
DTYPES = {
    onnx.TensorProto.FLOAT: "FLOAT", onnx.TensorProto.FLOAT16: "HALF", onnx.TensorProto.INT8: "INT8",
    onnx.TensorProto.INT32: "INT32", onnx.TensorProto.BOOL: "BOOL", onnx.TensorProto.UINT8: "UINT8",
    onnx.TensorProto.BFLOAT16: "BF16", onnx.TensorProto.INT64: "INT64",
}  # fmt: skip
FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
Sides = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Header:
    """What a plan says of itself.

    tensors: (name, dtype, dims, whether an input).  profiles: input -> min, opt, max.
    """

    version: str
    architecture: int
    card: str
    hardware: str
    version_compatible: bool
    has_lean_runtime: bool
    stripped: bool
    refittable: bool
    streaming: bool
    scratch: int
    tensors: list[tuple[str, str, list[int], bool]]
    profiles: list[dict[str, Sides]]


def pack(header: Header, graph: bytes) -> bytes:
    """The plan."""
    said = json.dumps(asdict(header)).encode()
    return MAGIC + struct.pack("<QQ", len(said), len(graph)) + said + graph


def unpack(plan: bytes) -> tuple[Header, bytes] | None:
    """What was packed, or None where it is cut short or something else."""
    start = len(MAGIC) + 16
    if len(plan) < start or not plan.startswith(MAGIC):
        return None
    said, graph = struct.unpack("<QQ", plan[len(MAGIC) : start])
    if len(plan) != start + said + graph:
        return None
    return Header(**json.loads(plan[start : start + said])), plan[start + said :]


def tensors_of(model: onnx.ModelProto) -> list[tuple[str, str, list[int], bool]]:
    """Inputs and outputs; -1 is a dimension that is open."""
    stored = {weight.name for weight in model.graph.initializer}
    found = []
    for values, is_input in ((model.graph.input, True), (model.graph.output, False)):
        for value in values:
            kind = value.type.tensor_type
            dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim]
            if value.name not in stored:
                found.append((value.name, DTYPES[kind.elem_type], dims, is_input))
    return found


def weights_of(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    """What a refitter would put in: floats, and more of them than dimensions have."""
    return [weight for weight in model.graph.initializer if weight.data_type in FLOATS and np.prod(weight.dims) > 8]


def without_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same with NaN in them."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for weight in weights_of(bare):
        array = numpy_helper.to_array(weight)
        weight.CopyFrom(numpy_helper.from_array(np.full_like(array, np.nan), weight.name))
    return bare


def engine_of(graph: bytes) -> Any:
    """ONNX Runtime's session, kept, for tests open the same ones again and again."""
    return _engine(hashlib.sha256(graph).digest(), _Hidden(graph))


class _Hidden:
    """Bytes that a cache does not compare."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(maxsize=16)
def _engine(digest: bytes, graph: _Hidden) -> Any:
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    return onnxruntime.InferenceSession(graph.content, settings, providers=["CPUExecutionProvider"])
