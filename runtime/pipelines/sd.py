"""Stable Diffusion 1 and 2: text to image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..denoise import Conditioning, Step, denoise
from ..errors import BadRequest, BundleCorrupt
from ..inpainting import everything_masked
from ..manifest import Manifest
from ..pipeline import Images, Printing, finish
from ..pixels import to_image
from ..random import TorchGenerator, randn_tensor
from ..record import from_table
from ..request import Call, Request, complete
from ..scheduler import Scheduler, make_scheduler
from ..session import check_finite
from ..text import Tokenizer


def create(bundle: Bundle) -> StableDiffusion:
    """The pipeline over an open bundle."""
    return StableDiffusion(bundle)


@dataclass(frozen=True)
class Settings:
    """What the loop needs to know of the model; the manifest's `settings`.

    latents as the VAE has them = latents / scaling_factor + shift_factor.  vae_factor: pixels per latent.
    multiple: what height and width divide by.  guidance_embedding: width of the UNet's input for the guidance scale
    (LCM), or None.  zero_empty_negative: SDXL's negative is zeros where the caller gives none.
    inpainting: the UNet also sees a mask and the picture under it.
    """

    latent_channels: int
    scaling_factor: float
    shift_factor: float = 0.0
    vae_factor: int = 8
    multiple: int = 8
    guidance_embedding: int | None = None
    zero_empty_negative: bool = False
    inpainting: bool = False


class StableDiffusion:
    """Prompts to pictures, with one text encoder."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.settings = from_table(Settings, bundle.manifest.settings, "the manifest's settings", BundleCorrupt)
        self.tokenizer = bundle.tokenizer("tokenizer")

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self.bundle.manifest

    def prepare(self) -> None:
        """Load the engines for the usual size, with guidance as the defaults have it, if they may stay loaded."""
        if self.bundle.options.residency == "one":
            return
        shapes = self.manifest.shapes
        height, width = shapes.default_size
        twice = self._guided(self.manifest.defaults.guidance_scale) and shapes.guidance == "batch"
        for part in self.manifest.components:
            rows = shapes.batch * (2 if twice else 1) if part.name == "unet" else 1
            if part.name != "vae_encoder":
                sizes = part.input_sizes({"batch": rows, "height": height, "width": width})
                self.bundle.session(part.name).prepare(sizes)

    def close(self) -> None:
        """Give the memory back."""
        self.bundle.close()

    def __call__(
        self, prompt: str | list[str], *, callback: Callable[[Step], None] | None = None, **arguments: Any
    ) -> Images:
        """The pictures for `prompt`.  arguments: the fields of Request.  callback: sees each finished Step."""
        return finish(self.generate(prompt, **arguments), callback)

    def generate(self, prompt: str | list[str], **arguments: Any) -> Printing:
        """Check the request, then yield each denoising Step; the return value is the Images.

        arguments: the fields of Request.  Raises BadRequest before anything slow.
        """
        call = complete(Request(prompt, **arguments), self.manifest, self.settings.multiple)
        return self._print(call, self._scheduler(call), self._noise(call))

    def encode(self, call: Call) -> Conditioning:
        """What the UNet is told of the prompts: encoder_hidden_states, (images, 77, width)."""
        guided = self._guided(call.guidance_scale)
        negatives = [text or "" for text in call.negatives] if guided else []
        encoded = self._run_encoder("text_encoder", self.tokenizer, [*call.prompts, *negatives])

        def rows(texts: Sequence[str]) -> dict[str, np.ndarray]:
            hidden = [encoded[text]["last_hidden_state"] for text in texts]
            return {"encoder_hidden_states": np.concatenate(hidden).repeat(call.images_per_prompt, axis=0)}

        positive = {**rows(call.prompts), **self._guidance_embedding(call)}
        return Conditioning(positive, rows(negatives) if guided else None)

    def decode(self, latents: np.ndarray) -> np.ndarray:
        """(images, channels, height/8, width/8) -> (images, 3, height, width) in about [-1, 1]; one image at a time."""
        decoder = self.bundle.session("vae_decoder")
        scaled = latents / np.float32(self.settings.scaling_factor) + np.float32(self.settings.shift_factor)
        samples = [decoder.run({"latent_sample": scaled[i : i + 1]})["sample"] for i in range(len(scaled))]
        decoded = np.concatenate(samples)
        check_finite(decoded, "vae_decoder")
        return decoded

    def _print(self, call: Call, scheduler: Scheduler, noise: _Noise) -> Printing:
        conditioning = self.encode(call)
        if self.settings.inpainting:
            conditioning = replace(conditioning, beside=self._everything_masked(noise))
        latents = noise.first * np.float32(scheduler.init_noise_sigma)
        unet = self.bundle.session("unet")
        shapes, scale = self.manifest.shapes, call.guidance_scale
        for step in denoise(unet, scheduler, latents, conditioning, scale, shapes, noise.draw):
            latents = step.latents
            yield step
        return Images([to_image(sample) for sample in self.decode(latents)], list(call.seeds), self._record(call))

    def _everything_masked(self, noise: _Noise) -> np.ndarray:
        encoder = self.bundle.session("vae_encoder")
        settings = self.settings
        return everything_masked(
            encoder, noise.first.shape, settings.vae_factor, settings.scaling_factor, noise.draw_for_mask
        )

    def _run_encoder(self, name: str, tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
        """The encoder's outputs for each text, each text once."""
        encoder = self.bundle.session(name)
        encoded = {text: encoder.run({"input_ids": tokenizer.encode(text)}) for text in dict.fromkeys(texts)}
        for outputs in encoded.values():
            for output in outputs.values():
                check_finite(output, name)
        return encoded

    def _guided(self, guidance_scale: float) -> bool:
        return guidance_scale > 1 and self.settings.guidance_embedding is None

    def _guidance_embedding(self, call: Call) -> dict[str, np.ndarray]:
        """LCM's input for the guidance scale: sines and cosines, as of a time step.

        Source: Luo et al. 2023, arXiv:2310.04378; Diffusers' get_guidance_scale_embedding.
        """
        width = self.settings.guidance_embedding
        if width is None:
            return {}
        scale = (np.float32(call.guidance_scale) - np.float32(1)) * np.float32(1000)
        half = width // 2
        rates = np.exp(np.arange(half, dtype=np.float32) * np.float32(-np.log(10000.0) / (half - 1)))
        angles = scale * rates
        row = np.concatenate([np.sin(angles), np.cos(angles), np.zeros(width % 2)]).astype(np.float32)
        return {"timestep_cond": np.tile(row, (call.images, 1))}

    def _scheduler(self, call: Call) -> Scheduler:
        if isinstance(call.scheduler, str) or call.scheduler is None:
            return make_scheduler(self.manifest.scheduler, call.steps, call.scheduler)
        return make_scheduler(call.scheduler, call.steps)

    def _noise(self, call: Call) -> _Noise:
        factor = self.settings.vae_factor
        shape = (call.images, self.settings.latent_channels, call.height // factor, call.width // factor)
        if call.latents is not None and call.latents.shape != shape:
            raise BadRequest(f"latents have shape {call.latents.shape}; this call needs {shape}")
        return _Noise(shape, [TorchGenerator(seed) for seed in call.seeds], call.latents)

    def _record(self, call: Call) -> dict[str, Any]:
        manifest = self.manifest
        return {
            **call.record(),
            "model": manifest.model.name,
            "target": str(self.bundle.target),
            "profile": manifest.profile,
            "approximations": list(manifest.approximations),
        }


class _Noise:
    """The noise of one call: where it starts, and what schedulers draw on the way, in Diffusers' order."""

    def __init__(self, shape: tuple[int, ...], generators: list[TorchGenerator], given: np.ndarray | None) -> None:
        self._shape = shape
        self._generators = generators
        self.first = self.draw() if given is None else given.astype(np.float32)

    def draw(self) -> np.ndarray:
        """Unit noise of the latents' shape."""
        return randn_tensor(self._shape, self._generators)

    def draw_for_mask(self) -> np.ndarray:
        """Unit noise for the masked picture: one for all images of a seed."""
        return randn_tensor((len(self._generators), *self._shape[1:]), self._generators)
