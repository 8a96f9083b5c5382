"""Stable Diffusion 1 and 2 and what was distilled from them (LCM, Turbo)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...runtime.manifest import TensorSpec
from ...runtime.shapes import TOKENS, Dim
from ..family import Anatomy, Configs, Network

CLASSES = (
    "StableDiffusionPipeline",
    "StableDiffusionImg2ImgPipeline",
    "StableDiffusionInpaintPipeline",
    "LatentConsistencyModelPipeline",
    "LatentConsistencyModelImg2ImgPipeline",
)
CLIP_SKIP = "clip_skip"
OTHER_SCALINGS = ("latents_mean", "latents_std", "shift_factor")


def anatomy(configs: Configs) -> Anatomy:
    """The components of a checkpoint with one text encoder."""
    text = configs["text_encoder"]
    hidden = TensorSpec("last_hidden_state", "float32", ("batch", TOKENS, text["hidden_size"]))
    told = (encoder_hidden_states(configs["unet"]["cross_attention_dim"]),)
    lcm = "LatentConsistencyModel" in configs["model_index"]["_class_name"]
    settings = latent_settings(configs)
    plain = "LatentConsistencyModelPipeline" if lcm else "StableDiffusionPipeline"
    return Anatomy(
        pipeline="sd",
        reference="StableDiffusionInpaintPipeline" if settings["inpainting"] else plain,
        settings={
            **settings,
            "image_to_image": False,
            "aesthetics_score": False,
            "largest_clip_skip": layers(text),
        },
        networks=(
            Network("text_encoder", "text_encoder", "text", text_inputs(), (hidden,), encode_text),
            unet(configs, told),
            *autoencoder(configs),
        ),
        tokenizers=("tokenizer",),
        native=native_size(configs),
        guidance_scale=8.5 if lcm else 7.5,
        steps=4 if lcm else 50,
        guided=not configs["unet"].get("time_cond_proj_dim"),
    )


def text_inputs() -> tuple[TensorSpec, ...]:
    """Token ids, as the tokenizer pads them, and how many of the last layers to leave out; -1 as Diffusers' None."""
    return TensorSpec("input_ids", "int64", ("batch", TOKENS)), TensorSpec(CLIP_SKIP, "int64", (1,))


def layers(text: Mapping[str, Any]) -> int:
    """Of a text encoder, by its configuration."""
    return int(text.get("num_hidden_layers", 12))  # Transformers' default


def encoder_hidden_states(width: int) -> TensorSpec:
    """What the denoiser is told of a prompt: the states of its chunks of 77 tokens, laid side by side."""
    return TensorSpec("encoder_hidden_states", "float32", ("batch", "tokens", width))


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
    """What runtime.settings.Settings wants to know.  Raises ValueError for latents that are scaled in another way."""
    vae, factor = configs["vae"], vae_factor(configs)
    unknown = [name for name in OTHER_SCALINGS if vae.get(name)]
    if unknown:
        raise ValueError(f"its vae has {unknown[0]}, which this version does not apply to latents")
    channels = configs["unet"]["in_channels"]
    halvings = len(configs["unet"]["block_out_channels"]) - 1
    side = vae.get("sample_size", 32)  # Diffusers' default
    return {
        "latent_channels": vae["latent_channels"],
        "inpainting": channels == 2 * vae["latent_channels"] + 1,
        "scaling_factor": vae.get("scaling_factor", 0.18215),  # Diffusers' default: SD 1.5's file lacks it
        "vae_factor": factor,
        "tile_size": int(side[0] if isinstance(side, list | tuple) else side),
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


def encode_text(network: Any, input_ids: Any, clip_skip: Any) -> Any:
    """(batch, 77) -> (batch, 77, width): the states that are left, after the final layer norm.

    clip_skip: (1,); -1 and 0 leave out no layer, k the last k.
    """
    states = network(input_ids, output_hidden_states=True).hidden_states
    text = getattr(network, "text_model", network)  # Transformers before 5 has the norm one level down
    return text.final_layer_norm(skip_layers(states, clip_skip))


def skip_layers(states: Sequence[Any], clip_skip: Any) -> Any:
    """The last of a text encoder's states but clip_skip, (batch, 77, width).

    states: from the embeddings to the last layer, before the final norm.  clip_skip: (1,), where -1 is 0.
    """
    import torch

    return torch.stack(tuple(reversed(states))).index_select(0, clip_skip.clamp(min=0))[0]


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
