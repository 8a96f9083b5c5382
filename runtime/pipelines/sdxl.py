"""Stable Diffusion XL: text to image, with two text encoders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..bundle import Bundle
from ..denoise import Conditioning
from ..request import Call
from .sd import StableDiffusion


def create(bundle: Bundle) -> StableDiffusionXL:
    """The pipeline over an open bundle."""
    return StableDiffusionXL(bundle)


class StableDiffusionXL(StableDiffusion):
    """Prompts to pictures; the UNet is also told a pooled embedding and the sizes of the picture."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self.tokenizer_2 = bundle.tokenizer("tokenizer_2")

    def encode(self, call: Call) -> Conditioning:
        """encoder_hidden_states (images, 77, both widths), text_embeds (images, width), time_ids (images, 6)."""
        guided = self._guided(call.guidance_scale)
        negatives = list(call.negatives) if guided else []
        texts = [*call.prompts, *(text or "" for text in negatives)]
        first = self._run_encoder("text_encoder", self.tokenizer, texts)
        second = self._run_encoder("text_encoder_2", self.tokenizer_2, texts)
        # original size, top left of the crop, target size: each (height, width)
        sizes = np.array([call.height, call.width, 0, 0, call.height, call.width], np.float32)

        def rows(texts: Sequence[str | None]) -> dict[str, np.ndarray]:
            hidden, pooled = [], []
            for text in texts:
                last = second[text or ""]
                # Diffusers takes zeros where the caller gives no negative prompt.
                kept = np.float32(not (text is None and self.settings.zero_empty_negative))
                states = [first[text or ""]["hidden_states"], last["hidden_states"]]
                hidden.append(np.concatenate(states, axis=-1) * kept)
                pooled.append(last["text_embeds"] * kept)
            told = {"encoder_hidden_states": np.concatenate(hidden), "text_embeds": np.concatenate(pooled)}
            repeated = {name: array.repeat(call.images_per_prompt, axis=0) for name, array in told.items()}
            return {**repeated, "time_ids": np.tile(sizes, (call.images, 1))}

        positive = {**rows(call.prompts), **self._guidance_embedding(call)}
        return Conditioning(positive, rows(negatives) if guided else None)
