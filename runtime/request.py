"""A call of a pipeline: its arguments, named as Diffusers names them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from PIL.Image import Image

Pictures = Image | np.ndarray | Sequence[Image] | Sequence[np.ndarray]

# What only SDXL's pipelines take.
XL_ONLY = (
    "prompt_2",
    "negative_prompt_2",
    "denoising_start",
    "denoising_end",
    "original_size",
    "crops_coords_top_left",
    "target_size",
    "negative_original_size",
    "negative_crops_coords_top_left",
    "negative_target_size",
    "aesthetic_score",
    "negative_aesthetic_score",
)
# What no file can say again: pictures and latents.
ARRAYS = ("image", "mask_image", "latents")


@dataclass(frozen=True)
class Request:
    """What a caller asks for; where a field is None, the bundle's or Diffusers' default holds.

    The text.
        prompt, negative_prompt: one, or one for each picture.  prompt_2, negative_prompt_2: for SDXL's second encoder.
        clip_skip: text encoder layers to leave out at the end.
        long_prompt: of a text over 75 tokens, "cut" keeps the first 75 as Diffusers does; "chunks" encodes it in
        pieces of 75 and shows the denoiser all of them.
    The picture to start from.
        image: PIL; or float in [0, 1] or uint8, (h, w, 3) or (n, h, w, 3); or a list of these; or latents,
        (n, channels, h/8, w/8) float.
        mask_image: what is white in it is painted anew; PIL, or (h, w) or (n, h, w).
        strength: in (0, 1], how much of the way from noise to picture is gone again.
        padding_mask_crop: pixels around the mask; only this part is painted, at full size, and put back.
    The size.  height, width: pixels.
    The noise.
        seed: as torch.Generator(generator).manual_seed takes it, or one for each image; None draws one.
        generator: whose noise.  noise_dtype: in which the noise is drawn, as the reference pipeline's own.
        latents: (images, channels, h/8, w/8) unit noise, in place of the seed's first draw.
    The way.
        scheduler: our name, Diffusers' class name, or a Diffusers configuration with `_class_name`.
        timesteps, sigmas: a schedule of one's own, in place of num_inference_steps.  eta: of DDIM and TCD.
        guidance_rescale: in [0, 1], arXiv:2305.08891.
        denoising_end, denoising_start: in (0, 1), where a base model stops and its refiner goes on.
    What SDXL is told of the picture: sizes and crops as (height, width) and (top, left), and an aesthetic score.
    The result.
        output_type: "pil"; "np", (images, height, width, 3) in [0, 1]; or "latent".
        vae_tiling: run the VAE in tiles, for pictures larger than memory allows.
    """

    prompt: str | Sequence[str]
    negative_prompt: str | Sequence[str] | None = None
    prompt_2: str | Sequence[str] | None = None
    negative_prompt_2: str | Sequence[str] | None = None
    clip_skip: int | None = None
    long_prompt: Literal["cut", "chunks"] = "cut"

    image: Pictures | None = None
    mask_image: Pictures | None = None
    strength: float | None = None
    padding_mask_crop: int | None = None

    height: int | None = None
    width: int | None = None
    num_images_per_prompt: int = 1

    seed: int | Sequence[int] | None = None
    generator: Literal["cpu", "cuda"] = "cpu"
    noise_dtype: Literal["float32", "float16"] = "float32"
    latents: np.ndarray | None = None

    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    guidance_rescale: float = 0.0
    scheduler: str | Mapping[str, Any] | None = None
    timesteps: Sequence[float] | None = None
    sigmas: Sequence[float] | None = None
    eta: float = 0.0
    denoising_start: float | None = None
    denoising_end: float | None = None

    original_size: tuple[int, int] | None = None
    crops_coords_top_left: tuple[int, int] = (0, 0)
    target_size: tuple[int, int] | None = None
    negative_original_size: tuple[int, int] | None = None
    negative_crops_coords_top_left: tuple[int, int] = (0, 0)
    negative_target_size: tuple[int, int] | None = None
    aesthetic_score: float = 6.0
    negative_aesthetic_score: float = 2.5

    output_type: Literal["pil", "np", "latent"] = "pil"
    vae_tiling: bool = False

    def is_default(self, name: str) -> bool:
        """Whether the caller said nothing of a field."""
        value, default = getattr(self, name), type(self).__dataclass_fields__[name].default
        return value is default or (type(value) is type(default) and value == default)

    def said(self) -> dict[str, Any]:
        """What the caller said, but arrays and pictures: what JSON can hold."""
        names = [field.name for field in fields(self)]
        return {name: getattr(self, name) for name in names if name not in ARRAYS and not self.is_default(name)}
