"""A checkpoint in one .safetensors file, unpacked to a Diffusers folder."""

from __future__ import annotations

from pathlib import Path

from ..runtime.bundle import sha256_of
from ..runtime.errors import BadModel
from .cache import Cache
from .weight_file import read_header


def unpack(file: Path, config: str | None, work: Path) -> Path:
    """Let Diffusers take the file apart, in the dtype it is stored in; returns the folder, kept in the cache.

    config: folder or hub id of a model of the same kind; None lets Diffusers recognise the kind and ask the hub.
    Raises BadModel.
    """
    stored = _stored_kind(file)
    wide = any("conditioner.embedders.1" in name for name in read_header(file))

    import torch
    from diffusers import DiffusionPipeline, StableDiffusionPipeline, StableDiffusionXLPipeline

    kinds = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
    pipeline: type[DiffusionPipeline] = StableDiffusionXLPipeline if wide else StableDiffusionPipeline

    def make(folder: Path) -> None:
        try:
            loaded = pipeline.from_single_file(str(file), config=config, torch_dtype=kinds[stored])
        except Exception as reason:  # Diffusers' and the hub's errors share no class
            first = str(reason).strip().splitlines()[0] if str(reason).strip() else type(reason).__name__
            raise BadModel(
                f"{file.name} can't be taken apart: {first}; its configurations come from the hub, "
                "or from a folder of the same kind of model: --config FOLDER"
            ) from reason
        loaded.save_pretrained(folder, safe_serialization=True)

    key = {"file": sha256_of(file), "config": config or ""}
    return Cache(work).entry("checkpoint", file.stem, key, make)


def _stored_kind(file: Path) -> str:
    """The dtype that most of the file's tensors have."""
    floats = [tensor.dtype for tensor in read_header(file).values() if tensor.dtype in ("F16", "BF16", "F32")]
    if not floats:
        raise BadModel(f"{file} holds no float16, bfloat16 or float32 weights")
    return max(set(floats), key=floats.count)
