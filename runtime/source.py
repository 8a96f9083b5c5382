"""The picture that a call goes on from, and the size it is used at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from PIL import Image

from . import checks
from .errors import BadRequest
from .image_processor import Crop, crop_region
from .manifest import Manifest
from .pictures import as_masks, as_pictures, usual_size
from .request import Request
from .settings import Settings

Mode = Literal["text", "image", "inpaint"]
MOST_LATENT = 1e6  # of values of given latents; a UNet's own are around 1
MOST_PIXELS = 1 << 28  # of what is printed, scaled up to cover a crop


@dataclass(frozen=True)
class Source:
    """The picture that a call goes on from.

    pictures: RGB, or (n, h, w, 3) in [0, 1], or None.  latents: in their place.  masks: as pictures.as_masks gives
    them, or None.  crop: the part that is painted, in pixels of the picture, or None for all of it.
    """

    mode: Mode
    pictures: list[Image.Image] | np.ndarray | None = None
    latents: np.ndarray | None = None
    masks: list[Image.Image] | np.ndarray | None = None
    crop: Crop | None = None
    strength: float = 1.0

    @property
    def count(self) -> int:
        """How many pictures were given."""
        given = self.pictures if self.latents is None else self.latents
        return 0 if given is None else len(given)


def find_source(request: Request, settings: Settings, strengths: Mapping[Mode, float]) -> Source:
    """What is given, still without the size at which it is used.

    strengths: where the caller names none.  Raises BadRequest for what does not go together.
    """
    if request.image is None:
        for name in ("mask_image", "strength", "padding_mask_crop", "denoising_start"):
            if getattr(request, name) is not None:
                raise BadRequest(f"{name} is given without an image; give the picture to start from as image")
        if settings.image_to_image:
            raise BadRequest("this model goes on from a picture and can't begin without; give it as image")
        return Source("text")
    mode: Mode = "image" if request.mask_image is None else "inpaint"
    if mode == "image" and settings.inpainting:
        raise BadRequest("this model paints inside a mask; give mask_image with the image")
    if mode == "image" and request.padding_mask_crop is not None:
        raise BadRequest("padding_mask_crop is given without a mask_image; it is the space around the mask")
    strength = checks.share(strengths[mode] if request.strength is None else request.strength, "strength")
    if strength == 0:
        raise BadRequest("strength is 0, which leaves nothing to do; it must be above 0 and at most 1")
    masks = None if mode == "image" else as_masks(request.mask_image, "mask_image")
    if _are_latents(request.image, settings.latent_channels):
        if settings.inpainting:
            raise BadRequest("image holds latents, but this model must see the picture under the mask; give pictures")
        latents = finite_latents(np.asarray(request.image), "image")
        if not len(latents):
            raise BadRequest("image holds no latents; it must have at least one picture's")
        return Source(mode, None, latents, masks, strength=strength)
    return Source(mode, as_pictures(request.image, "image"), None, masks, strength=strength)


def size_of_source(request: Request, source: Source, manifest: Manifest, settings: Settings) -> tuple[int, int]:
    """(height, width): what the caller says, else the picture's own for image to image, else the bundle's."""
    usual, whose = manifest.shapes.default_size, ""
    if source.latents is not None:
        usual = source.latents.shape[2] * settings.vae_factor, source.latents.shape[3] * settings.vae_factor
        whose = "; that is the size of the latents given as image"
    elif source.mode == "image" and source.pictures is not None:
        usual = usual_size(source.pictures, settings.vae_factor)
        whose = "; that is the size of the image, give height and width to have it resized"
    height = usual[0] if request.height is None else checks.whole(request.height, "height")
    width = usual[1] if request.width is None else checks.whole(request.width, "width")
    if source.latents is not None and (height, width) != usual:
        raise BadRequest(f"latents for {usual[0]}x{usual[1]} can't be resized to {height}x{width} (height x width)")
    try:
        manifest.shapes.check_size(height, width, settings.multiple)
    except BadRequest as reason:
        own = whose if request.height is None and request.width is None else ""
        raise BadRequest(f"{reason}{own}") from reason
    return height, width


def place(request: Request, source: Source, settings: Settings, height: int, width: int) -> Source:
    """The same with what depends on the size: the part around the mask, or all of it to be painted."""
    if source.mode == "text" and settings.inpainting:
        # Text to image with a model that paints inside a mask: the mask is everywhere.
        nothing, everywhere = np.zeros((1, height, width, 3), np.float32), np.ones((1, height, width, 1), np.float32)
        return Source("inpaint", nothing, None, everywhere)
    if request.padding_mask_crop is None:
        return source
    padding = checks.whole(request.padding_mask_crop, "padding_mask_crop", least=0)
    pictures, masks = source.pictures, source.masks
    if not (isinstance(pictures, list) and isinstance(masks, list) and len(pictures) == len(masks) == 1):
        raise BadRequest("padding_mask_crop works on one image and one mask_image, both PIL pictures")
    if pictures[0].size != masks[0].size:
        raise BadRequest(
            f"the image has {pictures[0].size} pixels, the mask {masks[0].size}; for padding_mask_crop they must agree"
        )
    left, top, right, bottom = crop = crop_region(masks[0], width, height, padding)
    scale = max((right - left) / width, (bottom - top) / height)
    if scale**2 * width * height > MOST_PIXELS:
        raise BadRequest(
            f"the part around the mask_image is {bottom - top}x{right - left} (height x width), too long and thin to "
            f"be covered by {height}x{width}; paint a smaller mask, or leave out padding_mask_crop"
        )
    return replace(source, crop=crop)


def finite_latents(latents: np.ndarray, name: str) -> np.ndarray:
    """Latents as float32.  Raises BadRequest for NaN, and for what the squares of a norm could not hold."""
    extremes = float(latents.min(initial=0)), float(latents.max(initial=0))
    if not all(abs(value) <= MOST_LATENT for value in extremes):
        lowest, highest = extremes
        raise BadRequest(
            f"{name} holds latents from {lowest:g} to {highest:g}; they must be finite, and at most {MOST_LATENT:g}"
        )
    return np.asarray(latents, np.float32)


def _are_latents(value: Any, channels: int) -> bool:
    shaped = isinstance(value, np.ndarray) and value.ndim == 4 and value.shape[1] == channels and value.shape[3] != 3
    return shaped and value.dtype.kind == "f"
