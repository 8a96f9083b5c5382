"""LoRA files: updates of low rank that are added to a checkpoint's weights before anything else sees them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..runtime.bundle import sha256_of
from ..runtime.errors import BadModel
from .weight_file import read_header


@dataclass(frozen=True)
class Lora:
    """A file and how strongly it is applied."""

    file: Path
    scale: float = 1.0

    @cached_property
    def sha256(self) -> str:
        return sha256_of(self.file)


@dataclass(frozen=True)
class Update:
    """What a file adds to one layer of a network: factor * up @ down.

    layer: the module's name inside the network.  down, up: tensors of the file.  factor: alpha / rank.
    """

    layer: str
    down: str
    up: str
    factor: float


def parse_lora(word: str) -> Lora:
    """FILE or FILE:SCALE, the command line's way.  Raises BadModel where the file or the scale can't be used."""
    name, scale = word, 1.0
    before, colon, after = word.rpartition(":")
    if colon and not Path(word).is_file() and _is_number(after):
        name, scale = before, float(after)
    check_file(Path(name), "LoRA", "write FILE or FILE:SCALE, such as style.safetensors:0.8")
    if not math.isfinite(scale):
        raise BadModel(f"the scale of {name} is {scale}; it must be a number such as 0.8")
    return Lora(Path(name), scale)


def check_file(file: Path, kind: str, hint: str) -> None:
    """Raises BadModel unless `file` is a whole .safetensors file."""
    if not file.is_file():
        raise BadModel(f"there is no {kind} file {file}; {hint}")
    if file.suffix != ".safetensors":
        raise BadModel(
            f"{file} is no .safetensors file; pickled files may run code when read, so they are not read: where you "
            "trust it, convert it with safetensors.torch.save_file(torch.load(FILE), NEW)"
        )
    read_header(file)


def merge(lora: Lora, updates: Iterable[Update], module: Any) -> None:
    """Add the updates to a torch module's float32 weights.

    Source: Hu et al. 2021, arXiv:2106.09685; for convolutions the product of the two kernels, of which one is 1x1.
    """
    from safetensors import safe_open

    weights = {plain(name): weight for name, weight in module.named_parameters()}
    with safe_open(lora.file, framework="pt") as file:
        for update in updates:
            weight = weights[f"{update.layer}.weight"]
            up, down = (file.get_tensor(key).float().flatten(1) for key in (update.up, update.down))
            weight.data = weight.data + (up @ down).reshape(weight.shape) * (lora.scale * update.factor)


def plain(name: str) -> str:
    """A layer's name in a network; text encoders have had their layers under text_model, and not."""
    return name.removeprefix("text_model.")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
