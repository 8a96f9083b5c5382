"""Stable Diffusion XL and what was distilled from it (Turbo, Lightning, LCM)."""

from __future__ import annotations

from typing import Any

from ...runtime.manifest import TensorSpec
from ..family import Anatomy, Configs, Network
from .sd import TOKENS, autoencoder, input_ids, latent_settings, native_size, unet

CLASSES = ("StableDiffusionXLPipeline",)


def anatomy(configs: Configs) -> Anatomy:
    """The components of a checkpoint with two text encoders."""
    first, second = configs["text_encoder"]["hidden_size"], configs["text_encoder_2"]["hidden_size"]
    pooled = configs["text_encoder_2"]["projection_dim"]
    told = (
        TensorSpec("encoder_hidden_states", "float32", ("batch", TOKENS, first + second)),
        TensorSpec("text_embeds", "float32", ("batch", pooled)),
        TensorSpec("time_ids", "float32", ("batch", 6)),
    )
    return Anatomy(
        pipeline="sdxl",
        settings=latent_settings(configs),
        networks=(
            Network("text_encoder", "text_encoder", "text", (input_ids(),), (_states(first),), penultimate),
            Network(
                "text_encoder_2", "text_encoder_2", "text", (input_ids(),),
                (_states(second), TensorSpec("text_embeds", "float32", ("batch", pooled))), penultimate_and_pooled,
            ),
            unet(configs, told),
            *autoencoder(configs),
        ),
        tokenizers=("tokenizer", "tokenizer_2"),
        native=native_size(configs),
        guidance_scale=5.0,
        steps=50,
        guided=not configs["unet"].get("time_cond_proj_dim"),
    )  # fmt: skip


def penultimate(network: Any, input_ids: Any) -> Any:
    """(batch, 77) -> the last but one layer's states, (batch, 77, width)."""
    return network(input_ids, output_hidden_states=True).hidden_states[-2]


def penultimate_and_pooled(network: Any, input_ids: Any) -> Any:
    """The same, and the projected embedding of the whole text, (batch, projection)."""
    out = network(input_ids, output_hidden_states=True)
    return out.hidden_states[-2], out.text_embeds


def _states(width: int) -> TensorSpec:
    return TensorSpec("hidden_states", "float32", ("batch", TOKENS, width))
