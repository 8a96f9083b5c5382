"""Random weights at the true architectures, to size a machine before choosing a model.

python -m aquatint.bench.checkpoints sd15 /tmp/sd15
"""

from __future__ import annotations

import gc
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click

INPAINT = "StableDiffusionInpaintPipeline"
XL, XL_REFINER = "StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"
XL_INPAINT = "StableDiffusionXLInpaintPipeline"
VOCABULARY = 49408  # CLIP's; the last two ids begin and end a text


@dataclass(frozen=True)
class Architecture:
    """What makes one checkpoint: the configurations of its networks, as Diffusers and Transformers spell them.

    text_encoder: None where text_encoder_2 is alone, as in SDXL's refiner.
    """

    unet: dict[str, Any]
    vae: dict[str, Any]
    text_encoder: dict[str, Any] | None
    text_encoder_2: dict[str, Any] | None = None
    scheduler: dict[str, Any] = field(default_factory=dict)
    pipeline: str = "StableDiffusionPipeline"


CLIP_L = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
CLIP_G = {
    "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20,
    "hidden_act": "gelu", "projection_dim": 1280,
}  # fmt: skip
OPEN_CLIP_H = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 23, "num_attention_heads": 16,
    "hidden_act": "gelu",
}  # fmt: skip
VAE = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4, "sample_size": 512,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip
SD_SCHEDULER = {
    "_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
    "clip_sample": False, "num_train_timesteps": 1000, "set_alpha_to_one": False, "steps_offset": 1,
}  # fmt: skip
SDXL_SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085,
    "beta_end": 0.012, "num_train_timesteps": 1000, "steps_offset": 1, "timestep_spacing": "leading",
}  # fmt: skip
SD15_UNET = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}
SDXL_UNET = {
    "sample_size": 128, "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20),
    "block_out_channels": (320, 640, 1280), "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "addition_embed_type": "text_time", "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
TINY_CLIP = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "projection_dim": 32,
}  # fmt: skip
TINY_VAE = {
    "block_out_channels": (8, 16, 16, 16), "layers_per_block": 1, "latent_channels": 4, "norm_num_groups": 4,
    "sample_size": 64, "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip
TINY_UNET = {
    "sample_size": 8, "cross_attention_dim": 32, "attention_head_dim": 4, "block_out_channels": (16, 32),
    "norm_num_groups": 8, "layers_per_block": 1, "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}  # fmt: skip
TINY_SDXL_UNET = {
    **TINY_UNET, "cross_attention_dim": 64, "attention_head_dim": (4, 8), "transformer_layers_per_block": (1, 2),
    "use_linear_projection": True, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"), "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8, "projection_class_embeddings_input_dim": 80,
}  # fmt: skip

SD15 = Architecture(SD15_UNET, VAE, CLIP_L, scheduler=SD_SCHEDULER)
SDXL = Architecture(
    SDXL_UNET,
    {**VAE, "sample_size": 1024, "scaling_factor": 0.13025, "force_upcast": True},
    CLIP_L,
    CLIP_G,
    SDXL_SCHEDULER,
    XL,
)
TINY = Architecture(TINY_UNET, TINY_VAE, TINY_CLIP, scheduler=SD_SCHEDULER)
TINY_SDXL = Architecture(
    TINY_SDXL_UNET, {**TINY_VAE, "scaling_factor": 0.13025}, TINY_CLIP, {**TINY_CLIP, "hidden_act": "gelu"},
    SDXL_SCHEDULER, XL,
)  # fmt: skip
# One encoder's width, and five numbers about the picture in place of six.
TINY_REFINER_UNET = {**TINY_SDXL_UNET, "cross_attention_dim": 32, "projection_class_embeddings_input_dim": 72}
V_PREDICTION = {**SD_SCHEDULER, "prediction_type": "v_prediction"}
LCM_SCHEDULER = {**SD_SCHEDULER, "_class_name": "LCMScheduler", "original_inference_steps": 50}

ARCHITECTURES: dict[str, Architecture] = {
    "sd15": SD15,
    "sd15-inpaint": replace(SD15, unet={**SD15_UNET, "in_channels": 9}, pipeline=INPAINT),
    "sd21": Architecture(
        {**SD15_UNET, "sample_size": 96, "cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20),
         "use_linear_projection": True},
        {**VAE, "sample_size": 768}, OPEN_CLIP_H, scheduler=V_PREDICTION,
    ),
    "sdxl": SDXL,
    "tiny-sd": TINY,
    "tiny-sd-v": Architecture(TINY_UNET, TINY_VAE, TINY_CLIP, scheduler=V_PREDICTION),
    "tiny-sd-inpaint": replace(TINY, unet={**TINY_UNET, "in_channels": 9}, pipeline=INPAINT),
    "tiny-lcm": Architecture({**TINY_UNET, "time_cond_proj_dim": 32}, TINY_VAE, TINY_CLIP, scheduler=LCM_SCHEDULER),
    "tiny-sdxl": TINY_SDXL,
    "tiny-sdxl-inpaint": replace(TINY_SDXL, unet={**TINY_SDXL_UNET, "in_channels": 9}, pipeline=XL_INPAINT),
    "tiny-sdxl-lcm": replace(
        TINY_SDXL, unet={**TINY_SDXL_UNET, "time_cond_proj_dim": 32}, scheduler=LCM_SCHEDULER
    ),
    "tiny-sdxl-refiner": replace(TINY_SDXL, unet=TINY_REFINER_UNET, text_encoder=None, pipeline=XL_REFINER),
}  # fmt: skip


def write_checkpoint(name: str, folder: Path, dtype: str = "float16", seed: int = 0) -> Path:
    """Write the architecture `name` with random weights as a Diffusers folder; one network in memory at a time.

    dtype: "float16" or "float32", how the weights are stored.  Returns the folder.
    """
    import diffusers
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    arch = ARCHITECTURES[name]
    text = {"vocab_size": VOCABULARY, "bos_token_id": VOCABULARY - 2, "eos_token_id": VOCABULARY - 1}
    networks: dict[str, Any] = {
        "unet": lambda: UNet2DConditionModel(**arch.unet),
        "vae": lambda: AutoencoderKL(**arch.vae),
    }
    index: dict[str, Any] = {
        "_class_name": arch.pipeline,
        "_diffusers_version": diffusers.__version__,
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "scheduler": ["diffusers", arch.scheduler["_class_name"]],
        "text_encoder": [None, None],
        "tokenizer": [None, None],
    }
    if arch.text_encoder is not None:
        first = arch.text_encoder
        networks["text_encoder"] = lambda: CLIPTextModel(CLIPTextConfig(**first, **text))
        index |= {"text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"]}
        write_tokenizer(folder / "tokenizer", pad_token="<|endoftext|>")
    if arch.text_encoder_2 is None:
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None], "requires_safety_checker": False}
    else:
        second = arch.text_encoder_2
        networks["text_encoder_2"] = lambda: CLIPTextModelWithProjection(CLIPTextConfig(**second, **text))
        index |= {
            "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
            "tokenizer_2": ["transformers", "CLIPTokenizer"],
            "force_zeros_for_empty_prompt": arch.pipeline != XL_REFINER,
        }
        if arch.pipeline != XL:
            index["requires_aesthetics_score"] = arch.pipeline == XL_REFINER
        write_tokenizer(folder / "tokenizer_2", pad_token="!")

    default = torch.get_default_dtype()
    torch.manual_seed(seed)
    try:
        torch.set_default_dtype(getattr(torch, dtype))
        for part, build in networks.items():
            build().save_pretrained(folder / part, safe_serialization=True)
            gc.collect()
    finally:
        torch.set_default_dtype(default)
    _write_json(folder / "scheduler" / "scheduler_config.json", arch.scheduler)
    _write_json(folder / "model_index.json", index)
    return folder


def write_tokenizer(folder: Path, pad_token: str) -> None:
    """A CLIP tokenizer without merges: every byte is a token, so that any text is read, in more tokens than usual."""
    from tokenizers.pre_tokenizers import ByteLevel

    letters = sorted(ByteLevel.alphabet())
    words = letters + [letter + "</w>" for letter in letters]
    words += [f"<unused{i}>" for i in range(VOCABULARY - 2 - len(words))]
    words += ["<|startoftext|>", "<|endoftext|>"]
    _write_json(folder / "vocab.json", {word: i for i, word in enumerate(words)})
    (folder / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}
    settings = {**special, "pad_token": pad_token, "model_max_length": 77, "tokenizer_class": "CLIPTokenizer"}
    _write_json(folder / "tokenizer_config.json", settings)


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


@click.command()
@click.argument("name", type=click.Choice(sorted(ARCHITECTURES)))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--dtype", type=click.Choice(["float16", "float32"]), default="float16", show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(name: str, folder: Path, dtype: str, seed: int) -> None:
    """Write a checkpoint of random weights at the true architecture NAME into FOLDER."""
    write_checkpoint(name, folder, dtype, seed)
    size_bytes = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    click.echo(f"{folder}: {name}, {size_bytes / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
