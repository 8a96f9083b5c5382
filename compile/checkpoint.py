"""The MODEL word of the command line, resolved to a folder that can be read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..runtime.bundle import sha256_of
from ..runtime.errors import BadModel
from . import onnx_folder, single_file
from .embeddings import Embedding, parse_embedding
from .family import Network
from .lora import Lora, parse_lora

INDEX = "model_index.json"
DEMO = "demo"
PICKLES = (".bin", ".ckpt", ".pt", ".pth")
CONFIG_NAMES = ("config.json", "scheduler_config.json", INDEX)
GENERAL_PROMPTS = ("a photograph of an astronaut riding a horse", "a bowl of fruit on a wooden table, oil painting")
DEMO_CALIBRATION = 16
DEMO_GOLDENS = 4  # prompts that the demo model never saw


@dataclass(frozen=True)
class Checkpoint:
    """A Diffusers folder on this disk, or one that Optimum exported to ONNX.

    source: what the user called it.  variant: of the weight files ("fp16"), or None.
    prompts: what its golden images show.  calibration_prompts: what it is calibrated with, () for the general ones.
    guidance_scale: its own default, or None for its family's.
    is_onnx: its networks are graphs already.  loras, embeddings: what is merged into them.
    """

    folder: Path
    source: str
    revision: str | None = None
    variant: str | None = None
    prompts: tuple[str, ...] = GENERAL_PROMPTS
    calibration_prompts: tuple[str, ...] = ()
    guidance_scale: float | None = None
    is_onnx: bool = False
    loras: tuple[Lora, ...] = ()
    embeddings: tuple[Embedding, ...] = ()

    @property
    def name(self) -> str:
        """A word for the bundle's folder and its manifest."""
        # Of suffixes only this one: stable-diffusion-2.1 has none.
        return Path(self.source).name.removesuffix(".safetensors") or self.folder.name

    @cached_property
    def configs(self) -> dict[str, dict[str, Any]]:
        """Each folder's configuration, and the index as "model_index".  Raises BadModel where one can't be read."""
        index = read_json(self.folder / INDEX)
        found = {"model_index": index}
        for part in sorted(path for path in self.folder.iterdir() if path.is_dir()):
            for file in (part / name for name in CONFIG_NAMES):
                if file.is_file():
                    found[part.name] = read_json(file)
        if self.is_onnx and "vae_decoder" in found:
            found["vae"] = found["vae_decoder"]  # Optimum writes the VAE's configuration beside each half
        return found

    def part(self, network: Network) -> str:
        """The folder with the network's weights."""
        return network.name if self.is_onnx else network.folder

    def config(self, folder: str) -> dict[str, Any]:
        """The configuration of one folder.  Raises BadModel where the checkpoint lacks it."""
        if folder not in self.configs:
            raise BadModel(f"{self.source} has no folder {folder} with a configuration")
        return self.configs[folder]

    def weight_files(self, folder: str) -> list[Path]:
        """The files that hold a network's weights.  Raises BadModel where there are none that are safe to read."""
        part = self.folder / folder
        if self.is_onnx:
            graphs = sorted(file for file in part.glob("*") if file.is_file() and file.suffix != ".json")
            if not graphs:
                raise BadModel(f"{self.source} has no graph in {folder}")
            return graphs
        pattern = f"*.{self.variant}*.safetensors" if self.variant else "*.safetensors"
        files = sorted(part.glob(pattern))
        if not self.variant:
            plain = [file for file in files if len(file.suffixes) == 1]
            files = plain or files
        if not files and any(file.suffix in PICKLES for file in part.glob("*")):
            raise BadModel(
                f"{folder} of {self.source} has pickled weights only, which may run code when read; where you trust "
                "them, convert them: DiffusionPipeline.from_pretrained(MODEL).save_pretrained(FOLDER)"
            )
        if not files:
            raise BadModel(f"{self.source} has no .safetensors weights in {folder}" + self._variant_words())
        return files

    def sha256(self, folder: str) -> dict[str, str]:
        """Hash of each weight file of a folder, by its name relative to the checkpoint."""
        return {str(file.relative_to(self.folder)): sha256_of(file) for file in self.weight_files(folder)}

    def _variant_words(self) -> str:
        return f" of variant {self.variant}" if self.variant else ""


def find_checkpoint(
    model: str,
    *,
    revision: str | None,
    variant: str | None,
    config: str | None,
    work: Path,
    loras: Sequence[str] = (),
    embeddings: Sequence[str] = (),
) -> Checkpoint:
    """What MODEL names: "demo", a folder, a .safetensors file, or a hub id, tried in this order.

    config: for a single file, the folder or hub id of a model of the same kind, whose configurations it lacks.
    work: where a single file is unpacked.  loras: FILE or FILE:SCALE.  embeddings: FILE or FILE:TOKEN.
    Raises BadModel.
    """
    merged, taught = tuple(map(parse_lora, loras)), tuple(map(parse_embedding, embeddings))
    found = _find(model, revision, variant, config, work)
    words = "".join(f", {embedding.token}" for embedding in taught)
    # A golden image shows each word, so that its vectors are verified too.
    prompts = tuple(prompt + words for prompt in found.prompts)
    return replace(found, loras=merged, embeddings=taught, prompts=prompts)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a checkpoint.  Raises BadModel."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as reason:
        raise BadModel(f"{path} is missing; a Diffusers model is a folder with {INDEX} in it") from reason
    except (OSError, ValueError, RecursionError) as reason:
        raise BadModel(f"{path} can't be read: {reason}") from reason
    if not isinstance(table, dict):
        raise BadModel(f"{path} holds no JSON object")
    return table


def _find(model: str, revision: str | None, variant: str | None, config: str | None, work: Path) -> Checkpoint:
    if model == DEMO:
        from ..demo import GUIDANCE_SCALE, MODEL
        from ..demo.prompts import held_out, training_captions

        prompts = tuple(prompt for prompt, _ in held_out(DEMO_GOLDENS))
        seen = tuple(training_captions(DEMO_CALIBRATION))
        return Checkpoint(MODEL, DEMO, prompts=prompts, calibration_prompts=seen, guidance_scale=GUIDANCE_SCALE)
    path = Path(model)
    if path.is_file():
        if path.suffix != ".safetensors":
            raise BadModel(f"{model} is no .safetensors file; pickled checkpoints are not read, convert it first")
        return Checkpoint(single_file.unpack(path, config, work), model)
    if path.is_dir():
        return _from_folder(Checkpoint(path.resolve(), model, revision, variant))
    if path.is_absolute() or model.startswith((".", "~")) or model.count("/") != 1:
        raise BadModel(f"{model} is no folder, no .safetensors file, no hub id (owner/name) and not demo")
    return _from_folder(Checkpoint(_download(model, revision, variant), model, revision, variant))


def _from_folder(found: Checkpoint) -> Checkpoint:
    read_json(found.folder / INDEX)
    if onnx_folder.is_one(found.folder):
        return replace(found, is_onnx=True)
    return found if found.variant else replace(found, variant=_only_variant(found.folder))


def _only_variant(folder: Path) -> str | None:
    """`fp16` where the UNet has `*.fp16.safetensors` and no plain file."""
    files = list((folder / "unet").glob("*.safetensors"))
    # Shards carry their number behind the variant or before it: model.fp16-00001-of-00002.safetensors.
    marked = sorted({file.suffixes[-2][1:].split("-")[0] for file in files if len(file.suffixes) > 1})
    plain = any(len(file.suffixes) == 1 for file in files)
    return None if plain or not marked else marked[0]


def _download(model: str, revision: str | None, variant: str | None) -> Path:
    from diffusers import DiffusionPipeline

    try:
        return Path(DiffusionPipeline.download(model, revision=revision, variant=variant, use_safetensors=True))
    except Exception as reason:  # the hub's errors share no class
        first = str(reason).strip().splitlines()[0] if str(reason).strip() else type(reason).__name__
        raise BadModel(f"{model} is not on this disk and could not be had from the hub: {first}") from reason
