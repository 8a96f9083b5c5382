"""Stable Diffusion XL and its refiner: text to image, image to image and inpainting, with two text encoders or one."""

from __future__ import annotations

import numpy as np

from ..bundle import Bundle
from ..call import Call
from ..complete import Rules
from ..denoise import Conditioning
from ..encoding import Encoded, Outputs, TextEncoder
from ..framing import Framing
from .sd import StableDiffusion


def create(bundle: Bundle) -> StableDiffusionXL:
    """The pipeline over an open bundle."""
    return StableDiffusionXL(bundle)


class StableDiffusionXL(StableDiffusion):
    """Prompts to pictures; the UNet is also told a pooled embedding and how the picture is framed."""

    rules = Rules(xl=True, chosen_anew=False, strength={"text": 1.0, "image": 0.3, "inpaint": 0.9999})

    def condition(self, call: Call, encoded: Encoded) -> Conditioning:
        """encoder_hidden_states (images, 77 * chunks, widths), text_embeds (images, width), time_ids (images, 6); a
        refiner's time_ids are 5.
        """
        positive = {
            **self._told(call, encoded.positive),
            **self._time_ids(call, call.framing),
            **self._guidance_embedding(call),
        }
        if encoded.negative is None:
            return Conditioning(positive)
        negative = self._told(call, encoded.negative)
        if self.settings.zero_empty_negative:
            # Diffusers takes zeros where the caller gives no negative prompt.
            given = np.array([text is not None for text in call.texts.negatives[0]], np.float32)
            kept = given.repeat(call.texts.copies)
            negative = {name: array * kept.reshape(-1, *(1,) * (array.ndim - 1)) for name, array in negative.items()}
        return Conditioning(positive, {**negative, **self._time_ids(call, call.negative_framing)})

    def _encoders(self) -> list[TextEncoder]:
        names = (("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2"))
        return [
            TextEncoder(self.bundle, name, tokenizer, "hidden_states", self.settings.embeddings)
            for name, tokenizer in names
            if self.manifest.component(name) is not None
        ]

    def _told(self, call: Call, encoders: list[list[Outputs]]) -> dict[str, np.ndarray]:
        """The encoders' states side by side, and the last one's pooled embedding."""
        each = [np.concatenate([output["hidden_states"] for output in outputs]) for outputs in encoders]
        pooled = np.concatenate([output["text_embeds"] for output in encoders[-1]])
        told = {"encoder_hidden_states": np.concatenate(each, axis=-1), "text_embeds": pooled}
        return {name: array.repeat(call.texts.copies, axis=0) for name, array in told.items()}

    def _time_ids(self, call: Call, framing: Framing) -> dict[str, np.ndarray]:
        last = (framing.score,) if self.settings.aesthetics_score else framing.target
        row = np.array([*framing.original, *framing.crop, *last], np.float32)
        return {"time_ids": np.tile(row, (call.images, 1))}
