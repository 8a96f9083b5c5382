"""Stable Diffusion 1 and 2 and what was distilled from them (LCM, Turbo)."""

from __future__ import annotations

from typing import Any

from ...runtime.manifest import TensorSpec
from ...runtime.shapes import Dim
from ..family import Anatomy, Configs, Network

CLASSES = ("StableDiffusionPipeline", "StableDiffusionInpaintPipeline", "LatentConsistencyModelPipeline")
TOKENS = 77


def anatomy(configs: Configs) -> Anatomy:
    """The components of a checkpoint with one text encoder."""
    text = configs["text_encoder"]
    hidden = TensorSpec("last_hidden_state", "float32", ("batch", TOKENS, text["hidden_size"]))
    told = (TensorSpec("encoder_hidden_states", "float32", ("batch", TOKENS, configs["unet"]["cross_attention_dim"])),)
    lcm = configs["model_index"]["_class_name"] == "LatentConsistencyModelPipeline"
    return Anatomy(
        pipeline="sd",
        settings=latent_settings(configs),
        networks=(
            Network("text_encoder", "text_encoder", "text", (input_ids(),), (hidden,), encode_text),
            unet(configs, told),
            *autoencoder(configs),
        ),
        tokenizers=("tokenizer",),
        native=native_size(configs),
        guidance_scale=8.5 if lcm else 7.5,
        steps=4 if lcm else 50,
        guided=not configs["unet"].get("time_cond_proj_dim"),
    )


def input_ids() -> TensorSpec:
    """Token ids, as the tokenizer pads them."""
    return TensorSpec("input_ids", "int64", ("batch", TOKENS))


def unet(configs: Configs, told: tuple[TensorSpec, ...]) -> Network:
    """The denoiser.  told: its inputs besides latents and time."""
    config = configs["unet"]
    factor = vae_factor(configs)
    spatial: tuple[Dim, ...] = (f"height/{factor}", f"width/{factor}")
    embedding = config.get("time_cond_proj_dim")
    if embedding:
        told += (TensorSpec("timestep_cond", "float32", ("batch", embedding)),)
    inputs = (
        TensorSpec("sample", "float32", ("batch", config["in_channels"], *spatial)),
        TensorSpec("timestep", "float32", (1,)),
        *told,
    )
    outputs = (TensorSpec("out_sample", "float32", ("batch", config["out_channels"], *spatial)),)
    return Network("unet", "unet", "denoise", inputs, outputs, denoise)


def autoencoder(configs: Configs) -> tuple[Network, Network]:
    """The two halves of the VAE, as components of their own."""
    channels = configs["vae"]["latent_channels"]
    factor = vae_factor(configs)
    picture = TensorSpec("sample", "float32", ("batch", 3, "height", "width"))
    spatial: tuple[Dim, ...] = (f"height/{factor}", f"width/{factor}")
    latents = TensorSpec("latent_sample", "float32", ("batch", channels, *spatial))
    moments = TensorSpec("latent_parameters", "float32", ("batch", 2 * channels, *spatial))
    return (
        Network("vae_decoder", "vae", "image", (latents,), (picture,), decode),
        Network("vae_encoder", "vae", "image", (picture,), (moments,), encode),
    )


def latent_settings(configs: Configs) -> dict[str, Any]:
    """What runtime.pipelines.sd.Settings wants to know."""
    vae, factor = configs["vae"], vae_factor(configs)
    channels = configs["unet"]["in_channels"]
    halvings = len(configs["unet"]["block_out_channels"]) - 1
    return {
        "latent_channels": vae["latent_channels"],
        "inpainting": channels == 2 * vae["latent_channels"] + 1,
        "scaling_factor": vae.get("scaling_factor", 0.18215),  # Diffusers' default: SD 1.5's file lacks it
        "shift_factor": vae.get("shift_factor") or 0.0,
        "vae_factor": factor,
        "multiple": factor * 2**halvings,
        "guidance_embedding": configs["unet"].get("time_cond_proj_dim"),
        "zero_empty_negative": bool(configs["model_index"].get("force_zeros_for_empty_prompt", False)),
    }


def native_size(configs: Configs) -> int:
    """The side of the picture that the UNet was trained for, in pixels."""
    return int(configs["unet"]["sample_size"]) * vae_factor(configs)


def vae_factor(configs: Configs) -> int:
    """Pixels per latent."""
    return int(2 ** (len(configs["vae"]["block_out_channels"]) - 1))


def encode_text(network: Any, input_ids: Any) -> Any:
    """(batch, 77) -> (batch, 77, width), after the final layer norm."""
    return network(input_ids, return_dict=False)[0]


def denoise(network: Any, sample: Any, timestep: Any, encoder_hidden_states: Any, **told: Any) -> Any:
    """The UNet's prediction, of the shape of sample.  told: SDXL's sizes and pooled text, LCM's guidance embedding."""
    cond = told.pop("timestep_cond", None)
    added = {"timestep_cond": cond, "added_cond_kwargs": told or None, "return_dict": False}
    return network(sample, timestep, encoder_hidden_states, **added)[0]


def decode(network: Any, latent_sample: Any) -> Any:
    """Latents to pixels in [-1, 1]."""
    return network.decode(latent_sample, return_dict=False)[0]


def encode(network: Any, sample: Any) -> Any:
    """Pixels to mean and log variance of the latents, side by side."""
    return network.encode(sample, return_dict=False)[0].parameters
