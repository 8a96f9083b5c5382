"""Stable Diffusion XL, its refiner, and what was distilled from it (Turbo, Lightning, LCM)."""

from __future__ import annotations

from typing import Any

from ...runtime.manifest import TensorSpec
from ...runtime.shapes import TOKENS
from ..family import Anatomy, Configs, Network
from .sd import (
    autoencoder,
    encoder_hidden_states,
    latent_settings,
    layers,
    native_size,
    skip_layers,
    text_inputs,
    unet,
)

CLASSES = ("StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline")


def anatomy(configs: Configs) -> Anatomy:
    """The components of a checkpoint with two text encoders, or with the second alone, as the refiner has."""
    index = configs["model_index"]
    alone = index.get("text_encoder") == [None, None]
    folders = ("text_encoder_2",) if alone else ("text_encoder", "text_encoder_2")
    texts = [configs[folder] for folder in folders]
    pooled = configs["text_encoder_2"]["projection_dim"]
    scored = bool(index.get("requires_aesthetics_score", False))
    told = (
        encoder_hidden_states(sum(text["hidden_size"] for text in texts)),
        TensorSpec("text_embeds", "float32", ("batch", pooled)),
        # The picture's original size and its crop, and then its own size or the score that it deserves.
        TensorSpec("time_ids", "float32", ("batch", 5 if scored else 6)),
    )
    settings = latent_settings(configs)
    inpainting, from_picture = settings["inpainting"], alone or scored
    usual = "StableDiffusionXLImg2ImgPipeline" if from_picture else "StableDiffusionXLPipeline"
    return Anatomy(
        pipeline="sdxl",
        reference="StableDiffusionXLInpaintPipeline" if inpainting else usual,
        settings={
            **settings,
            "zero_empty_negative": bool(index.get("force_zeros_for_empty_prompt", True)),  # Diffusers' default
            "image_to_image": from_picture,
            "aesthetics_score": scored,
            "largest_clip_skip": min(layers(text) for text in texts) - 1,
        },
        networks=(
            *(_text_encoder(folder, text["hidden_size"], pooled) for folder, text in zip(folders, texts, strict=True)),
            unet(configs, told),
            *autoencoder(configs),
        ),
        tokenizers=("tokenizer_2",) if alone else ("tokenizer", "tokenizer_2"),
        native=native_size(configs),
        guidance_scale=7.5 if "Inpaint" in index["_class_name"] else 5.0,
        steps=50,
        guided=not configs["unet"].get("time_cond_proj_dim"),
    )


def penultimate(network: Any, input_ids: Any, clip_skip: Any) -> Any:
    """(batch, 77) -> the last but one layer's states, (batch, 77, width).

    clip_skip: (1,); -1 and 0 leave out no further layer, k another k.
    """
    return skip_layers(network(input_ids, output_hidden_states=True).hidden_states[:-1], clip_skip)


def penultimate_and_pooled(network: Any, input_ids: Any, clip_skip: Any) -> Any:
    """The same, and the projected embedding of the whole text, (batch, projection), which no layer is left out of."""
    out = network(input_ids, output_hidden_states=True)
    return skip_layers(out.hidden_states[:-1], clip_skip), out.text_embeds


def _text_encoder(folder: str, width: int, pooled: int) -> Network:
    states = TensorSpec("hidden_states", "float32", ("batch", TOKENS, width))
    if folder == "text_encoder":
        return Network(folder, folder, "text", text_inputs(), (states,), penultimate)
    whole = TensorSpec("text_embeds", "float32", ("batch", pooled))
    return Network(folder, folder, "text", text_inputs(), (states, whole), penultimate_and_pooled)
