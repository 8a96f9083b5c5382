"""Where a run begins: from noise, from a picture, or from a picture with a mask over it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from .call import Call
from .denoise import Start
from .image_processor import image_samples, mask_samples, shrink_mask
from .inpainting import Kept
from .noise import NoiseSource
from .scheduler import Scheduler
from .source import Source


class Encoder(Protocol):
    """The half of the VAE that a start needs."""

    def encode(self, samples: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """(n, 3, height, width) in [-1, 1] and unit noise of the latents' shape -> scaled latents."""


def begin(call: Call, scheduler: Scheduler, span: range, vae: Encoder, noise: NoiseSource, beside: bool) -> Start:
    """The start of a call; draws noise in Diffusers' order.

    beside: whether the denoiser sees the mask and the picture under it (nine channels), instead of having the picture
    put back around the mask after every step (four).
    """
    if call.source.mode == "text":
        return Start(_first_noise(call, noise) * np.float32(scheduler.init_noise_sigma), span)
    if call.source.mode == "image":
        return Start(_from_picture(call, scheduler, span, vae, noise), span)
    return _under_mask(call, scheduler, span, vae, noise, beside)


def _from_picture(call: Call, scheduler: Scheduler, span: range, vae: Encoder, noise: NoiseSource) -> np.ndarray:
    """(images, channels, h, w): the picture at the noise level of the first timestep."""
    # A seed for each image has each encode a picture of its own; one seed encodes those given, and repeats them.
    rows = call.images if noise.several else call.source.count
    latents = _tiled(_encoded(call, vae, noise, rows), call.images)
    if call.schedule.start is not None:
        return latents  # what denoising_end left, which is noisy already
    return scheduler.add_noise(latents, noise.draw(call.latent_shape), span.start)


def _under_mask(call: Call, scheduler: Scheduler, span: range, vae: Encoder, noise: NoiseSource, beside: bool) -> Start:
    source, images = call.source, call.images
    given = call.noise.first
    whole, resumed = source.strength == 1, call.schedule.start is not None
    picture = None
    if not beside or resumed or (given is None and not whole):
        picture = _tiled(_encoded(call, vae, noise, source.count), images)
    first = _first_noise(call, noise)
    if resumed:
        assert picture is not None
        latents = picture
    elif whole or given is not None:
        latents = first * np.float32(scheduler.init_noise_sigma)
    else:
        assert picture is not None
        latents = scheduler.add_noise(picture, first, span.start)

    assert source.masks is not None
    mask = mask_samples(source.masks, call.height, call.width, source.crop)
    small = _tiled(shrink_mask(mask, *call.latent_shape[2:]), images)
    if not beside:
        if source.latents is None:
            # Diffusers encodes the masked picture even where nothing looks at it; its draw moves all later ones.
            noise.draw((max(source.count, len(mask)), *call.latent_shape[1:]))
        assert picture is not None
        return Start(latents, span, kept=Kept(picture, first, small))
    visible = _samples(call, source) * (mask < 0.5)
    under = vae.encode(visible.astype(np.float32), noise.draw((len(visible), *call.latent_shape[1:])))
    return Start(latents, span, beside=np.concatenate([small, _tiled(under, images)], axis=1))


def _first_noise(call: Call, noise: NoiseSource) -> np.ndarray:
    return noise.draw(call.latent_shape) if call.noise.first is None else call.noise.first


def _encoded(call: Call, vae: Encoder, noise: NoiseSource, rows: int) -> np.ndarray:
    """The pictures' latents, in so many rows; given latents in their own."""
    if call.source.latents is not None:
        return call.source.latents
    return vae.encode(_tiled(_samples(call, call.source), rows), noise.draw((rows, *call.latent_shape[1:])))


def _samples(call: Call, source: Source) -> np.ndarray:
    assert source.pictures is not None
    return image_samples(source.pictures, call.height, call.width, source.crop)


def _tiled(array: np.ndarray, rows: int) -> np.ndarray:
    """[a, b] -> [a, b, a, b, ...], as Diffusers repeats pictures over a batch."""
    return np.tile(array, (rows // len(array), *(1 for _ in array.shape[1:])))
