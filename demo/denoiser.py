"""Trains the demo's UNet and text encoder together, from cached latents."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .autoencoder import encode, save_state, warmup_cosine
from .draw import draw
from .muon import Muon, split_parameters
from .prompts import caption, random_scene
from .tokenizer import LENGTH

WIDTH = 96


@dataclass(frozen=True)
class DenoiserTraining:
    """v-prediction (Salimans and Ho 2022, arXiv:2202.00512): a few thousand steps learn colours and places by it.

    The error of the predicted noise hardly weighs the first, noisiest steps, where the prompt decides.
    """

    pictures: int = 12000
    steps: int = 6000
    batch: int = 32
    # Peak learning rates: of Muon for weight matrices, of AdamW for the rest.
    matrix_rate: float = 0.003
    rate: float = 8e-4
    warmup_steps: int = 50
    # A common shift of each channel's noise, so that the noise does not betray the background's brightness.
    offset_noise: float = 0.07
    # Below one, more of the noisy timesteps, where the prompt decides, than of the clear ones.
    time_power: float = 0.7
    # Captions replaced by the empty prompt, for classifier-free guidance.
    dropout: float = 0.1
    ema_decay: float = 0.999
    save_every: int = 250
    seed: int = 3


def build_unet() -> UNet2DConditionModel:
    """3.2 M parameters: 64 channels at 16 x 16, 112 at 8 x 8, where it attends to the text."""
    return UNet2DConditionModel(
        sample_size=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 112),
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        # Diffusers takes this as the number of heads.
        attention_head_dim=4,
        norm_num_groups=16,
    )


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=4 * WIDTH,
        projection_dim=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule, with the prediction type of its version 2."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        prediction_type="v_prediction",
        steps_offset=1,
    )


def build(tokenizer: CLIPTokenizer) -> nn.ModuleDict:
    model = nn.ModuleDict({"unet": build_unet(), "text_encoder": build_text_encoder(tokenizer)})
    return model.to(memory_format=torch.channels_last)


def train(
    folder: Path, settings: DenoiserTraining, vae: AutoencoderKL, tokenizer: CLIPTokenizer
) -> Iterator[tuple[int, float]]:
    """Train to folder/denoiser.pt, going on from what is there; yields (step, loss)."""
    torch.manual_seed(settings.seed)
    model = build(tokenizer)
    average = copy.deepcopy(model).requires_grad_(False)
    matrices, rest = split_parameters(model)
    muon = Muon(matrices, settings.matrix_rate)
    adam = torch.optim.AdamW(rest, settings.rate, betas=(0.9, 0.99), weight_decay=0)
    parts = {"model": model, "average": average, "muon": muon, "adam": adam}
    path, start = folder / "denoiser.pt", 0
    if path.exists():
        saved = torch.load(path, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(saved[name])
        start = saved["step"]
    if start >= settings.steps:
        return
    scenes, latents = _cached_latents(folder, settings, vae)
    alphas = build_scheduler().alphas_cumprod
    torch.manual_seed(settings.seed + start)
    rng = np.random.default_rng([settings.seed, start])
    for step in range(start, settings.steps):
        chosen = rng.integers(len(scenes), size=settings.batch)
        texts = [caption(scenes[i], rng) if rng.random() >= settings.dropout else "" for i in chosen]
        tokens = tokenizer(texts, padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids
        factor = warmup_cosine(step, settings.warmup_steps, settings.steps)
        muon.param_groups[0]["lr"] = settings.matrix_rate * factor
        adam.param_groups[0]["lr"] = settings.rate * factor
        loss = _loss(model, latents[chosen], tokens, alphas, settings)
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        muon.step()
        adam.step()
        _follow(average, model, min(settings.ema_decay, (1 + step) / (10 + step)))
        done = step + 1
        if done % settings.save_every == 0 or done == settings.steps:
            save_state(path, {**{name: part.state_dict() for name, part in parts.items()}, "step": done})
        yield done, loss.item()


def load(folder: Path, tokenizer: CLIPTokenizer) -> tuple[UNet2DConditionModel, CLIPTextModel]:
    """UNet and text encoder of the last checkpoint, averaged over the steps."""
    model = build(tokenizer)
    model.load_state_dict(torch.load(folder / "denoiser.pt", weights_only=True)["average"])
    return model["unet"].eval(), model["text_encoder"].eval()


def _cached_latents(folder: Path, settings: DenoiserTraining, vae: AutoencoderKL) -> tuple[list, torch.Tensor]:
    """The training scenes and their scaled latents, float32 (pictures, 4, 16, 16); encoded once per folder."""
    rng = np.random.default_rng(settings.seed)
    scenes = [random_scene(rng) for _ in range(settings.pictures)]
    path = folder / "latents.pt"
    if not path.exists():
        parts = []
        for first in range(0, len(scenes), 500):
            pictures = np.stack([draw(scene, rng) for scene in scenes[first : first + 500]])
            parts.append(encode(vae, torch.from_numpy(pictures).permute(0, 3, 1, 2)))
        save_state(path, {"latents": torch.cat(parts) * vae.config.scaling_factor})
    return scenes, torch.load(path, weights_only=True)["latents"]


def _loss(
    model: nn.ModuleDict, latents: torch.Tensor, tokens: torch.Tensor, alphas: torch.Tensor, settings: DenoiserTraining
) -> torch.Tensor:
    """Mean squared error of the predicted velocity; the timesteps are spread over the batch, more of them noisy."""
    count = len(latents)
    fractions = (torch.arange(count) + torch.rand(count)) / count
    timesteps = (fractions**settings.time_power * len(alphas)).long()
    noise = torch.randn_like(latents) + settings.offset_noise * torch.randn(count, latents.shape[1], 1, 1)
    alpha = alphas[timesteps].view(-1, 1, 1, 1)
    noisy = alpha.sqrt() * latents + (1 - alpha).sqrt() * noise
    velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * latents
    embeddings = model["text_encoder"](tokens).last_hidden_state
    noisy = noisy.contiguous(memory_format=torch.channels_last)
    return (model["unet"](noisy, timesteps, embeddings).sample - velocity).square().mean()


@torch.no_grad()
def _follow(average: nn.Module, model: nn.Module, decay: float) -> None:
    old, new = list(average.parameters()), list(model.parameters())
    torch._foreach_lerp_(old, new, 1 - decay)
