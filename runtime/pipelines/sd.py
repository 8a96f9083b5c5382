"""Stable Diffusion 1 and 2: text to image, image to image and inpainting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..autoencoder import Autoencoder
from ..bundle import Bundle
from ..call import Call
from ..complete import Rules, complete
from ..denoise import Conditioning, Guidance, denoise
from ..encoding import Encoded, Outputs, Reading, TextEncoder
from ..errors import BundleCorrupt
from ..image_processor import overlay
from ..manifest import Manifest
from ..noise import NoiseSource
from ..pipeline import Callback, Images, Printing, finish
from ..pixels import to_image, to_unit
from ..record import from_table
from ..request import Request
from ..scheduler import Scheduler
from ..settings import Settings
from ..shapes import TOKENS
from ..start import begin
from ..timespan import schedule_call

if TYPE_CHECKING:
    from PIL.Image import Image


def create(bundle: Bundle) -> StableDiffusion:
    """The pipeline over an open bundle."""
    return StableDiffusion(bundle)


class StableDiffusion:
    """Prompts to pictures, with one text encoder."""

    rules = Rules(xl=False, chosen_anew=True, strength={"text": 1.0, "image": 0.8, "inpaint": 1.0})

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.settings = from_table(Settings, bundle.manifest.settings, "the manifest's settings", BundleCorrupt)
        self.encoders = self._encoders()

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
                sizes = part.input_sizes({"batch": rows, "height": height, "width": width, "tokens": TOKENS})
                self.bundle.session(part.name).prepare(sizes)

    def close(self) -> None:
        """Give the memory back."""
        self.bundle.close()

    def __call__(self, prompt: str | list[str], *, callback: Callback | None = None, **arguments: Any) -> Images:
        """The pictures for `prompt`.  arguments: the fields of Request.  callback: sees each finished Step."""
        return finish(self.generate(prompt, **arguments), callback)

    def generate(self, prompt: str | list[str], **arguments: Any) -> Printing:
        """Check the request, then yield each denoising Step; the return value is the Images.

        arguments: the fields of Request.  Raises BadRequest before anything slow.
        """
        call = complete(Request(prompt, **arguments), self.manifest, self.settings, self.rules)
        reading = Reading(self.encoders, call.texts, self._guided(call.guidance_scale), self._most_chunks())
        chosen_anew = self.rules.chosen_anew and self.settings.guidance_embedding is not None
        scheduler, span = schedule_call(call, self.manifest.scheduler, chosen_anew)
        return self._print(call, reading, scheduler, span)

    def condition(self, call: Call, encoded: Encoded) -> Conditioning:
        """What the UNet is told of the prompts: encoder_hidden_states, (images, 77 * chunks, width)."""

        def rows(outputs: list[Outputs]) -> dict[str, np.ndarray]:
            states = np.concatenate([output["last_hidden_state"] for output in outputs])
            return {"encoder_hidden_states": states.repeat(call.texts.copies, axis=0)}

        positive = {**rows(encoded.positive[0]), **self._guidance_embedding(call)}
        return Conditioning(positive, None if encoded.negative is None else rows(encoded.negative[0]))

    def _encoders(self) -> list[TextEncoder]:
        embeddings = self.settings.embeddings
        return [TextEncoder(self.bundle, "text_encoder", "tokenizer", "last_hidden_state", embeddings)]

    def _print(self, call: Call, reading: Reading, scheduler: Scheduler, span: range) -> Printing:
        settings = self.settings
        noise = NoiseSource(call.noise.seeds, call.noise.generator, call.noise.dtype)
        vae = Autoencoder(self.bundle, settings, call.vae_tiling)
        conditioning = self.condition(call, reading.encode())
        start = begin(call, scheduler, span, vae, noise, beside=settings.inpainting)
        unet = self.bundle.session("unet")
        guidance = Guidance(call.guidance_scale, call.guidance_rescale)
        for step in denoise(
            unet, scheduler, start, conditioning, guidance, self.manifest.shapes, lambda: noise.draw(call.latent_shape)
        ):
            done = step.index + 1
            if (yield step) or done == step.total:
                latents = step.latents
                stopped = {} if done == step.total else {"stopped_after": done}
                break
        settings_said = {**self._record(call), **stopped}
        return Images(self._finished(call, vae, latents), list(call.noise.seeds), settings_said, reading.notes)

    def _finished(self, call: Call, vae: Autoencoder, latents: np.ndarray) -> list[Image] | np.ndarray:
        """The result in the caller's output_type."""
        if call.output_type == "latent":
            return latents
        decoded = vae.decode(latents)
        if call.output_type == "np":
            return to_unit(decoded).transpose(0, 2, 3, 1)
        pictures = [to_image(sample) for sample in decoded]
        crop, masks, originals = call.source.crop, call.source.masks, call.source.pictures
        if crop is None:
            return pictures
        assert isinstance(masks, list)
        assert isinstance(originals, list)
        return [overlay(picture, masks[0], originals[0], crop) for picture in pictures]

    def _most_chunks(self) -> int:
        """How many chunks of a prompt the UNet takes."""
        part = self.manifest.component("unet")
        flexible = part is not None and any("tokens" in spec.dims for spec in part.inputs)
        return self.manifest.shapes.prompt_chunks if flexible else 1

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

    def _record(self, call: Call) -> dict[str, Any]:
        manifest = self.manifest
        return {
            **call.request.said(),
            "model": manifest.model.name,
            "target": str(self.bundle.target),
            "profile": manifest.profile,
            "approximations": list(manifest.approximations),
        }
