"""What was trained on top of a checkpoint, LoRA and textual inversion, and is compiled into the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..runtime.errors import BadModel
from ..runtime.manifest import Adapter
from .checkpoint import Checkpoint
from .embeddings import check_embeddings, extend
from .family import Anatomy
from .lora import Lora, Update, merge, plain
from .lora_places import UNET, place
from .tokenizers import read_tokenizer

LAYERS_PER_BLOCK = 2  # Diffusers' default, of a UNet that does not say


def check_adapters(checkpoint: Checkpoint, anatomy: Anatomy) -> None:
    """Find the place of every tensor; reads names and shapes, no weights.  Raises BadModel."""
    files = [file.name for file in _files(checkpoint)]
    if files and checkpoint.is_onnx:
        raise BadModel(
            f"{checkpoint.source} holds graphs, which take no {files[0]}; name the checkpoint that they came from"
        )
    for lora in checkpoint.loras:
        _place(lora, checkpoint)
    if checkpoint.embeddings:
        encoders = [network.folder for network in anatomy.networks if network.stage == "text"]
        widths = {name: int(checkpoint.config(name).get("hidden_size", 0)) for name in encoders}
        folders = (checkpoint.folder / name for name in anatomy.tokenizers)
        tokenizers = {encoder: read_tokenizer(folder) for encoder, folder in zip(encoders, folders)}
        check_embeddings(checkpoint.embeddings, widths, tokenizers)


def merge_adapters(checkpoint: Checkpoint, anatomy: Anatomy, pipe: Any, folders: set[str]) -> None:
    """Bring everything into the networks that Diffusers' pipeline has loaded, which are in `folders`."""
    for lora in checkpoint.loras:
        for network, updates in _place(lora, checkpoint).items():
            if network in folders:
                merge(lora, updates, getattr(pipe, network))
    encoders = [network.folder for network in anatomy.networks if network.stage == "text"]
    for encoder, tokenizer in zip(encoders, anatomy.tokenizers):
        if checkpoint.embeddings and encoder in folders:
            extend(getattr(pipe, encoder), getattr(pipe, tokenizer), encoder, checkpoint.embeddings)


def adapters_key(checkpoint: Checkpoint, folder: str | None = None) -> list[dict[str, Any]]:
    """What a cached result owes to adapters; folder: of the one network that it depends on, or None for all."""
    merged = [
        {"lora": lora.sha256, "scale": lora.scale}
        for lora in checkpoint.loras
        if folder is None or folder in _place(lora, checkpoint)
    ]
    taught = [
        {"embedding": embedding.sha256, "token": embedding.token}
        for embedding in checkpoint.embeddings
        if folder is None or folder in embedding.keys
    ]
    return merged + taught


def adapter_records(checkpoint: Checkpoint) -> tuple[Adapter, ...]:
    """What the manifest says of them."""
    return (
        *(Adapter("lora", lora.file.stem, lora.sha256, scale=lora.scale) for lora in checkpoint.loras),
        *(Adapter("embedding", e.file.stem, e.sha256, tokens=tuple(e.tokens)) for e in checkpoint.embeddings),
    )


def _files(checkpoint: Checkpoint) -> list[Path]:
    return [lora.file for lora in checkpoint.loras] + [embedding.file for embedding in checkpoint.embeddings]


def _place(lora: Lora, checkpoint: Checkpoint) -> dict[str, list[Update]]:
    names = [name for name in ("text_encoder", "text_encoder_2", UNET) if name in checkpoint.configs]
    shapes = {name: _weight_shapes(checkpoint, name) for name in names}
    layers = checkpoint.configs.get(UNET, {}).get("layers_per_block", LAYERS_PER_BLOCK)
    return place(lora, shapes, layers)


def _weight_shapes(checkpoint: Checkpoint, folder: str) -> dict[str, tuple[int, ...]]:
    from safetensors import safe_open

    found: dict[str, tuple[int, ...]] = {}
    for path in checkpoint.weight_files(folder):
        with safe_open(path, framework="pt") as file:
            found |= {plain(key): tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    return found
