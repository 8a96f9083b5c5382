"""What an inpainting UNet of nine channels sees beside the latents: the mask, and what the mask leaves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .session import Session


def sample_latents(parameters: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """A draw from the VAE's posterior.

    parameters: (images, 2 * channels, h, w), mean and log variance as the encoder gives them.  noise: unit normal.
    Source: Diffusers' DiagonalGaussianDistribution, which cuts the log variance at -30 and 20.
    """
    mean, log_variance = np.split(parameters, 2, axis=1)
    return mean + np.exp(np.float32(0.5) * np.clip(log_variance, -30, 20)) * noise


def everything_masked(
    encoder: Session, shape: tuple[int, ...], side: int, scaling_factor: float, draw: Callable[[], np.ndarray]
) -> np.ndarray:
    """(images, 1 + channels, h, w) for text to image with an inpainting UNet: all of the picture is to be painted.

    shape: of the latents.  side: pixels per latent.  draw: unit noise, (1 or images, channels, h, w), as Diffusers
    draws it after the first latents.
    """
    images, _, height, width = shape
    nothing = np.zeros((1, 3, height * side, width * side), np.float32)
    parameters = encoder.run({"sample": nothing})["latent_parameters"]
    left = sample_latents(parameters, draw()) * np.float32(scaling_factor)
    mask = np.ones((images, 1, height, width), np.float32)
    return np.concatenate([mask, np.repeat(left, images // len(left), axis=0)], axis=1)
