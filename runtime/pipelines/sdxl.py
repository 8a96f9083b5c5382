"""Stable Diffusion XL: text to image, with two text encoders."""

from __future__ import annotations

import numpy as np

from ..bundle import Bundle
from ..denoise import Conditioning
from ..request import Call
from ..session import check_finite
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
        copies, height, width = call.images_per_prompt, call.height, call.width
        # original size, top left of the crop, target size: each (height, width)
        time_ids = np.tile(np.array([height, width, 0, 0, height, width], np.float32), (call.images, 1))
        positive = self._told([self._encode_both(text) for text in call.prompts], copies, time_ids)
        if not self._guided(call.guidance_scale):
            return Conditioning({**positive, **self._guidance_embedding(call)})
        return Conditioning(positive, self._told([self._encode_negative(t) for t in call.negatives], copies, time_ids))

    def _told(
        self, encoded: list[tuple[np.ndarray, np.ndarray]], copies: int, time_ids: np.ndarray
    ) -> dict[str, np.ndarray]:
        hidden = np.concatenate([states for states, _ in encoded]).repeat(copies, axis=0)
        pooled = np.concatenate([embeds for _, embeds in encoded]).repeat(copies, axis=0)
        return {"encoder_hidden_states": hidden, "text_embeds": pooled, "time_ids": time_ids}

    def _encode_negative(self, text: str | None) -> tuple[np.ndarray, np.ndarray]:
        hidden, pooled = self._encode_both(text or "")
        if text is None and self.settings.zero_empty_negative:
            return np.zeros_like(hidden), np.zeros_like(pooled)
        return hidden, pooled

    def _encode_both(self, text: str) -> tuple[np.ndarray, np.ndarray]:
        """Both encoders' last but one layer side by side, and the second's pooled embedding."""
        first = self.bundle.session("text_encoder").run({"input_ids": self.tokenizer.encode(text)})
        second = self.bundle.session("text_encoder_2").run({"input_ids": self.tokenizer_2.encode(text)})
        hidden = np.concatenate([first["hidden_states"], second["hidden_states"]], axis=-1)
        check_finite(hidden, "text_encoder, text_encoder_2")
        return hidden, second["text_embeds"]
