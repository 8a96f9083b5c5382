"""The VAE of a bundle: pictures to latents and back, one picture at a time, in tiles where asked."""

from __future__ import annotations

import numpy as np

from .bundle import Bundle
from .session import check_finite
from .settings import Settings
from .tiling import Tiles, decode_in_tiles, encode_in_tiles


class Autoencoder:
    """Both halves of the VAE.  tiling: work in tiles of the VAE's own size, for pictures larger than memory allows."""

    def __init__(self, bundle: Bundle, settings: Settings, tiling: bool) -> None:
        self._bundle = bundle
        self._settings = settings
        self._tiles = Tiles(settings.tile_size, settings.tile_size // settings.vae_factor) if tiling else None

    def encode(self, samples: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """(n, 3, height, width) in [-1, 1] -> (n, channels, height/8, width/8), scaled, drawn from the posterior.

        noise: unit, of the shape of the result.
        """
        moments = np.concatenate([self._moments(samples[i : i + 1]) for i in range(len(samples))])
        check_finite(moments, "vae_encoder")
        return sample_latents(moments, noise) * np.float32(self._settings.scaling_factor)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """(n, channels, height/8, width/8), scaled -> (n, 3, height, width) in about [-1, 1]."""
        unscaled = latents / np.float32(self._settings.scaling_factor)
        decoded = np.concatenate([self._pixels(unscaled[i : i + 1]) for i in range(len(unscaled))])
        check_finite(decoded, "vae_decoder")
        return decoded

    def _moments(self, sample: np.ndarray) -> np.ndarray:
        encoder = self._bundle.session("vae_encoder")

        def encode(part: np.ndarray) -> np.ndarray:
            return encoder.run({"sample": np.ascontiguousarray(part)})["latent_parameters"]

        return encode(sample) if self._tiles is None else encode_in_tiles(encode, sample, self._tiles)

    def _pixels(self, latents: np.ndarray) -> np.ndarray:
        decoder = self._bundle.session("vae_decoder")

        def decode(part: np.ndarray) -> np.ndarray:
            return decoder.run({"latent_sample": np.ascontiguousarray(part)})["sample"]

        return decode(latents) if self._tiles is None else decode_in_tiles(decode, latents, self._tiles)


def sample_latents(moments: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """A draw from the VAE's posterior.

    moments: (n, 2 * channels, h, w), mean and log variance as the encoder gives them.  noise: unit normal.
    Source: Diffusers' DiagonalGaussianDistribution, which cuts the log variance at -30 and 20.
    """
    mean, log_variance = np.split(moments, 2, axis=1)
    return mean + np.exp(np.float32(0.5) * np.clip(log_variance, -30, 20)) * noise
