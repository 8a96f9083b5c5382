"""The checkpoint's own pictures, made by Diffusers one network at a time, and what each was given on the way."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.pixels import to_sample
from ..runtime.scheduler import diffusers_class
from ..runtime.shapes import TOKENS
from .adapters import merge_adapters
from .cases import Case, write_case
from .checkpoint import Checkpoint
from .families.sd import CLIP_SKIP
from .family import Anatomy, Network
from .start_picture import start_picture

log = logging.getLogger(__name__)

NETWORK_FOLDERS = ("text_encoder", "text_encoder_2", "unet", "vae", "safety_checker", "image_encoder")
STAGES = ("text", "denoise", "image")


@dataclass(frozen=True)
class GoldenPlan:
    """A picture to verify with; sizes in pixels.

    scheduler: ours by name, or None for the checkpoint's own.
    strength: how far it goes from start_picture, in (0, 1]; None: it starts from noise.
    """

    prompt: str
    seed: int
    steps: int
    guidance_scale: float
    height: int
    width: int
    scheduler: str | None
    strength: float | None = None


def load_stage(checkpoint: Checkpoint, anatomy: Anatomy, stage: str) -> Any:
    """Diffusers' pipeline with the networks of one stage in float32 and all others left out."""
    import diffusers
    import torch
    import transformers

    for library in (diffusers, transformers):
        library.utils.logging.set_verbosity_error()
        library.utils.logging.disable_progress_bar()
    wanted = {network.folder for network in anatomy.networks if network.stage == stage}
    if stage == "denoise" and (anatomy.settings["inpainting"] or anatomy.settings["image_to_image"]):
        wanted.add("vae")  # which encodes what the mask leaves, or the picture to start from
    index = checkpoint.configs["model_index"]
    absent = {name: None for name in NETWORK_FOLDERS if name in index and name not in wanted}
    pipe = getattr(diffusers, anatomy.reference).from_pretrained(
        str(checkpoint.folder), dtype=torch.float32, variant=checkpoint.variant, use_safetensors=True,
        local_files_only=True, **absent,
    )  # fmt: skip
    merge_adapters(checkpoint, anatomy, pipe, wanted)
    for folder in wanted:
        getattr(pipe, folder).eval()
    pipe.set_progress_bar_config(disable=True)
    return pipe


@dataclass(frozen=True)
class Recorder:
    """One stage of Diffusers' pipeline, run for one golden picture after another.

    pipe: from load_stage.  before: the folder that the stage before wrote.  into: the folder that this one fills.
    """

    pipe: Any
    anatomy: Anatomy
    before: Path
    into: Path

    def record(self, stage: str, goldens: tuple[GoldenPlan, ...]) -> None:
        """Write the stage's cases and results; the last stage writes golden-0.png and so on."""
        import torch

        networks = [network for network in self.anatomy.networks if network.stage == stage]
        run = {"text": self._text, "denoise": self._denoising, "image": self._image}[stage]
        with torch.inference_mode():
            for index, golden in enumerate(goldens):
                run(networks, golden, index)
        log.info("%s: recorded from Diffusers over %d golden images", stage, len(goldens))

    def _text(self, networks: list[Network], golden: GoldenPlan, index: int) -> None:
        import torch

        pipe, guided = self.pipe, self.anatomy.guided and golden.guidance_scale > 1
        told = pipe.encode_prompt(
            golden.prompt, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=guided
        )
        names = ("prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds")
        self._write(index, {name: tensor for name, tensor in zip(names, told) if tensor is not None})
        # Once is enough for the other layers: they are the same weights.
        clip_skips = (-1, 1) if index == 0 and self.anatomy.settings["largest_clip_skip"] else (-1,)
        for network, name in zip(networks, self.anatomy.tokenizers, strict=True):
            for text in (golden.prompt, ""):
                tokens = getattr(pipe, name)(
                    text, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
                )
                for clip_skip in clip_skips:
                    feeds = {"input_ids": tokens.input_ids, CLIP_SKIP: torch.tensor([clip_skip])}
                    self._call(network, getattr(pipe, network.folder), feeds)

    def _denoising(self, networks: list[Network], golden: GoldenPlan, index: int) -> None:
        import diffusers
        import torch

        (network,) = networks
        pipe = self.pipe
        if golden.scheduler is not None:
            kind = getattr(diffusers, diffusers_class(golden.scheduler))
            pipe.scheduler = kind.from_config(pipe.scheduler.config)
        told = {**self._read(index), **self._pictures(golden)}
        seen: list[Case] = []

        def see(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            # The last step alone: the golden image itself is a check of those before.
            seen[:] = [_case_of_call(network, args, kwargs, output)]

        handle = pipe.unet.register_forward_hook(see, with_kwargs=True)
        try:
            latents = pipe(
                **told, num_inference_steps=golden.steps, guidance_scale=golden.guidance_scale,
                generator=torch.Generator().manual_seed(golden.seed), output_type="latent",
            ).images  # fmt: skip
        finally:
            handle.remove()
        for case in seen:
            write_case(self.into, network.name, case)
        self._write(index, {"latents": latents})

    def _image(self, networks: list[Network], golden: GoldenPlan, index: int) -> None:
        import torch

        decoder, encoder = networks
        settings = self.anatomy.settings
        scaled = self._read(index)["latents"] / settings["scaling_factor"]
        decoded = self._call(decoder, self.pipe.vae, {"latent_sample": scaled})
        pixels = torch.from_numpy(decoded.outputs["sample"])
        (picture,) = self.pipe.image_processor.postprocess(pixels, output_type="pil")
        picture.save(self.into / f"golden-{index}.png")
        self._call(encoder, self.pipe.vae, {"sample": torch.from_numpy(to_sample(picture)[None])})

    def _pictures(self, golden: GoldenPlan) -> dict[str, Any]:
        """What Diffusers' pipeline is given besides the prompt: a picture of the golden's size, or only that size."""
        from PIL import Image

        size = {"height": golden.height, "width": golden.width}
        if self.anatomy.settings["inpainting"]:  # text to image, as an inpainting pipeline sees it: all is masked
            shape = (golden.width, golden.height)
            return {**size, "image": Image.new("RGB", shape), "mask_image": Image.new("L", shape, 255), "strength": 1.0}
        if golden.strength is not None:
            return {"image": start_picture(golden.height, golden.width), "strength": golden.strength}
        return size

    def _call(self, network: Network, module: Any, feeds: dict[str, Any]) -> Case:
        outputs = network.call(module, **feeds)
        case = _case(network, feeds, outputs if isinstance(outputs, tuple) else (outputs,))
        write_case(self.into, network.name, case)
        return case

    def _write(self, index: int, tensors: dict[str, Any]) -> None:
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        np.savez(self.into / f"{index}.npz", allow_pickle=False, **arrays)

    def _read(self, index: int) -> dict[str, Any]:
        import torch

        with np.load(self.before / f"{index}.npz", allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


def _case_of_call(network: Network, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Case:
    """A call as Diffusers' pipeline makes it, under the names of our table."""
    sample, timestep = args
    given = {"sample": sample, "timestep": timestep, **kwargs, **(kwargs.get("added_cond_kwargs") or {})}
    given["timestep"] = timestep.reshape(-1)[:1].float()
    return _case(network, {spec.name: given[spec.name] for spec in network.inputs}, (output[0],))


def _case(network: Network, feeds: Mapping[str, Any], outputs: tuple[Any, ...]) -> Case:
    named = zip((spec.name for spec in network.outputs), outputs, strict=True)
    return Case(
        {name: tensor.numpy() for name, tensor in feeds.items()},
        {name: tensor.float().numpy() for name, tensor in named},
    )


def plan_key(goldens: tuple[GoldenPlan, ...]) -> str:
    """A text that differs where the golden pictures would."""
    return json.dumps([golden.__dict__ for golden in goldens], sort_keys=True)
