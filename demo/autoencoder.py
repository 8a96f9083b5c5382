"""Trains the demo's AutoencoderKL: 128 px pictures to latents of 4 x 16 x 16 and back."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL

from .draw import SIZE, draw
from .prompts import random_scene


@dataclass(frozen=True)
class AutoencoderTraining:
    """Cheap crops first, then whole pictures, since group norm and attention are global; the decoder alone last."""

    pictures: int = 4000
    crop_steps: int = 2000
    crop_batch: int = 16
    crop_px: int = 64
    whole_steps: int = 300
    decoder_steps: int = 1200
    whole_batch: int = 8
    peak_rate: float = 2e-3
    decoder_rate: float = 1e-3
    warmup_steps: int = 60
    # The weight per latent element; small enough to stay sharp, large enough to keep latents smooth.
    kl_weight: float = 1e-4
    edge_weight: float = 0.5
    square_weight: float = 4.0
    save_every: int = 100
    seed: int = 1

    @property
    def joint_steps(self) -> int:
        return self.crop_steps + self.whole_steps

    @property
    def steps(self) -> int:
        return self.joint_steps + self.decoder_steps

    def rate(self, step: int) -> float:
        if step < self.joint_steps:
            return self.peak_rate * warmup_cosine(step, self.warmup_steps, self.joint_steps)
        return self.decoder_rate * warmup_cosine(step - self.joint_steps, self.warmup_steps, self.decoder_steps)


def build() -> AutoencoderKL:
    """0.86 M parameters, factor 8, 4 latent channels: Stable Diffusion's autoencoder, narrow."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 48, 64),
        layers_per_block=1,
        norm_num_groups=8,
        sample_size=SIZE,
    )


def train(folder: Path, settings: AutoencoderTraining) -> Iterator[tuple[int, float]]:
    """Train to folder/vae.pt, going on from what is there; yields (step, loss)."""
    torch.manual_seed(settings.seed)
    vae = build().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.parameters(), betas=(0.9, 0.95), weight_decay=1e-4)
    path, start = folder / "vae.pt", 0
    if path.exists():
        saved = torch.load(path, weights_only=True)
        vae.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        start = saved["step"]
    if start >= settings.steps:
        return
    pictures = draw_pictures(settings.pictures, settings.seed)
    rng = np.random.default_rng([settings.seed, start])
    for step in range(start, settings.steps):
        whole = step >= settings.crop_steps
        if step >= settings.joint_steps:
            vae.encoder.requires_grad_(False)
            vae.quant_conv.requires_grad_(False)
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        loss = _loss(vae, _batch(pictures, settings, whole, rng), settings)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        done = step + 1
        if done % settings.save_every == 0 or done == settings.steps:
            save_state(path, {"model": vae.state_dict(), "optimizer": optimizer.state_dict(), "step": done})
        yield done, loss.item()


def load(folder: Path) -> AutoencoderKL:
    """The autoencoder of the last checkpoint, its latents levelled and its `scaling_factor` measured."""
    vae = build()
    vae.load_state_dict(torch.load(folder / "vae.pt", weights_only=True)["model"])
    vae.eval().requires_grad_(False)
    pictures = draw_pictures(256, seed=2)
    latents = encode(vae, pictures)
    _level(vae, latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3)))
    vae.register_to_config(scaling_factor=round(1 / encode(vae, pictures).std().item(), 5))
    return vae


def encode(vae: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    """Means of the latents, not yet scaled: uint8 (count, 3, 128, 128) to float32 (count, 4, 16, 16)."""
    with torch.no_grad():
        return torch.cat([vae.encode(to_pixels(part)).latent_dist.mean for part in pictures.split(16)])


@torch.no_grad()
def _level(vae: AutoencoderKL, mean: torch.Tensor, std: torch.Tensor) -> None:
    """Bring the latents' channels to zero mean and one deviation, in the two 1 x 1 convolutions; pictures stay.

    mean, std: (4,).  Diffusion starts from noise alike in all channels, and Stable Diffusion's pipeline knows
    one scale only.
    """
    encoder, decoder = vae.quant_conv, vae.post_quant_conv
    assert encoder is not None
    assert decoder is not None
    count, ratio = len(mean), std / std.mean()
    encoder.bias[:count] -= mean
    encoder.bias[:count] /= ratio
    encoder.weight[:count] /= ratio.view(-1, 1, 1, 1)
    # The other half are the logarithms of the variances.
    encoder.bias[count:] -= 2 * ratio.log()
    decoder.bias += decoder.weight[:, :, 0, 0] @ mean
    decoder.weight *= ratio.view(1, -1, 1, 1)


def save_state(path: Path, state: dict) -> None:
    """Replace the checkpoint at once, so that a kill leaves the old or the new one."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def warmup_cosine(step: int, warmup: int, steps: int) -> float:
    """Factor on the peak learning rate: linear to 1, then half a cosine to 0.02."""
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def draw_pictures(count: int, seed: int) -> torch.Tensor:
    """Random training pictures: uint8 (count, 3, 128, 128)."""
    rng = np.random.default_rng(seed)
    pictures = np.stack([draw(random_scene(rng), rng) for _ in range(count)])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def to_pixels(pictures: torch.Tensor) -> torch.Tensor:
    """uint8 to float32 in [-1, 1], channels last in memory."""
    return (pictures.float() / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def _batch(
    pictures: torch.Tensor, settings: AutoencoderTraining, whole: bool, rng: np.random.Generator
) -> torch.Tensor:
    if whole:
        return to_pixels(pictures[rng.integers(len(pictures), size=settings.whole_batch)])
    px = settings.crop_px
    crops: list[torch.Tensor] = []
    while len(crops) < settings.crop_batch:
        top, left = rng.integers(SIZE - px + 1, size=2)
        crop = pictures[rng.integers(len(pictures)), :, top : top + px, left : left + px]
        # Four in five crops of nothing but background teach nothing new.
        if rng.random() < 0.2 or (crop != crop[:, :1, :1]).float().mean() > 0.2:
            crops.append(crop)
    return to_pixels(torch.stack(crops))


def _loss(vae: AutoencoderKL, pixels: torch.Tensor, settings: AutoencoderTraining) -> torch.Tensor:
    """Absolute and squared error of pixels and of edges (differences of neighbours), and KL, each a mean."""
    posterior = vae.encode(pixels).latent_dist
    error = vae.decode(posterior.sample()).sample - pixels
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    kl = posterior.kl().mean() / posterior.mean[0].numel()
    # The squared error finds the colours; the absolute one alone stays at their median, a gray.
    colors = settings.square_weight * error.square().mean()
    return error.abs().mean() + colors + settings.edge_weight * edges + settings.kl_weight * kl
