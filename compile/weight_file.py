"""A .safetensors file, as far as its header tells."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import BadModel

LONGEST_HEADER = 100_000_000  # bytes, safetensors' own limit
FLOAT_BITS = {"F8_E4M3": 8, "F8_E5M2": 8, "F16": 16, "BF16": 16, "F32": 32, "F64": 64}


@dataclass(frozen=True)
class Tensor:
    """What a header says of one tensor.  dtype: safetensors' word, such as "F16"."""

    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


def read_header(file: Path) -> dict[str, Tensor]:
    """The tensors by name; no weight is read.  Raises BadModel where the file is another kind, or was cut short."""
    tensors, end = {}, 0
    try:
        size_bytes = file.stat().st_size
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > min(LONGEST_HEADER, size_bytes):
                raise ValueError("its header is longer than the file")
            table = json.loads(stream.read(length))
        for name, entry in table.items():
            if name != "__metadata__":
                begin, stop = map(int, entry["data_offsets"])
                tensors[name] = _checked(Tensor(str(entry["dtype"]), tuple(map(int, entry["shape"])), stop - begin))
                end = max(end, 8 + length + stop)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as reason:
        raise BadModel(f"{file} is no .safetensors file: {reason}") from reason
    if end > size_bytes:
        raise BadModel(f"{file} was cut short: it has {size_bytes} of {end} bytes; fetch it again")
    return tensors


def _checked(tensor: Tensor) -> Tensor:
    """Raises ValueError where the bytes are not what the shape needs."""
    bits = FLOAT_BITS.get(tensor.dtype)
    if min(tensor.shape, default=0) < 0 or (bits and math.prod(tensor.shape) * bits != tensor.size_bytes * 8):
        raise ValueError(f"a {tensor.dtype} tensor of shape {list(tensor.shape)} has {tensor.size_bytes} bytes")
    return tensor
