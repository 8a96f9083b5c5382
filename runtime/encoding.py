"""Prompts to the hidden states of a bundle's text encoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .bundle import Bundle
from .call import Texts
from .embeddings import expand
from .errors import BadRequest
from .session import check_finite
from .shapes import TOKENS

READ = TOKENS - 2  # tokens of a chunk without those that begin and end it
Outputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Encoded:
    """What the encoders gave: for each encoder, its outputs for each prompt.

    negative: the same for the negative prompts, or None without guidance.
    """

    positive: list[list[Outputs]]
    negative: list[list[Outputs]] | None


class TextEncoder:
    """One text encoder with its tokenizer.

    name: the component's.  states: the output that the denoiser is told.  embeddings: as in Settings.
    """

    def __init__(self, bundle: Bundle, name: str, tokenizer: str, states: str, embeddings: dict[str, int]) -> None:
        self.name = name
        self._bundle = bundle
        self._tokenizer = bundle.tokenizer(tokenizer)
        self._states = states
        self._embeddings = embeddings
        part = bundle.manifest.component(name)
        self._skips = part is not None and any(spec.name == "clip_skip" for spec in part.inputs)

    def chunks(self, text: str) -> np.ndarray:
        """Token ids, (chunks, 77) int64."""
        return self._tokenizer.chunks(expand(text, self._embeddings))

    def count(self, text: str) -> int:
        """How many tokens a text has, without those that begin and end it."""
        return self._tokenizer.count(expand(text, self._embeddings))

    def encode(self, chunks: np.ndarray, clip_skip: int | None) -> Outputs:
        """Token ids -> the encoder's outputs; the states of the chunks lie side by side, (1, 77 * chunks, width).

        Pooled outputs are those of the first chunk.
        """
        session = self._bundle.session(self.name)
        feeds = {"clip_skip": np.array([-1 if clip_skip is None else clip_skip], np.int64)} if self._skips else {}
        outputs = [session.run({"input_ids": ids[None], **feeds}) for ids in chunks]
        for output in outputs:
            for array in output.values():
                check_finite(array, self.name)
        return {**outputs[0], self._states: np.concatenate([output[self._states] for output in outputs], axis=1)}


class Reading:
    """The token ids of a call's texts, with as many chunks for each as the longest has.

    guided: the negative prompts are read too.  most: how many chunks the denoiser takes.
    Raises BadRequest for more of them.
    """

    def __init__(self, encoders: Sequence[TextEncoder], texts: Texts, guided: bool, most: int) -> None:
        self._encoders = encoders
        self._texts = texts
        self._guided = guided
        self._chunks = [{text: encoder.chunks(text) for text in self._all(i)} for i, encoder in enumerate(encoders)]
        longest = max(len(ids) for found in self._chunks for ids in found.values())
        self._length = longest if texts.chunked else 1
        if self._length > most:
            raise BadRequest(
                f"a text has {longest} chunks of {READ} tokens, this bundle was built for up to {most}: shorten it, "
                "have it cut, or compile with a larger prompt_chunks in the profile's shapes"
            )

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each text that is cut."""
        long = {
            text: encoder
            for encoder, chunks in zip(self._encoders, self._chunks, strict=True)
            for text, ids in chunks.items()
            if len(ids) > self._length
        }
        return tuple(
            f"of the {encoder.count(text)} tokens of {_start(text)!r} only the first {READ} count; "
            "with long_prompt chunks, all do"
            for text, encoder in long.items()
        )

    def encode(self) -> Encoded:
        """Run the encoders, each over each text once.  As in Diffusers, the negative texts know no clip_skip."""
        positive, negative = [], []
        for i in range(len(self._encoders)):
            prompts, negatives, skip = self._texts.prompts[i], self._negatives(i), self._texts.clip_skip
            wanted = dict.fromkeys([*((text, skip) for text in prompts), *((text, None) for text in negatives)])
            found = {(text, layers): self._encode(i, text, layers) for text, layers in wanted}
            positive.append([found[text, skip] for text in prompts])
            negative.append([found[text, None] for text in negatives])
        return Encoded(positive, negative if self._guided else None)

    def _negatives(self, i: int) -> list[str]:
        return [text or "" for text in self._texts.negatives[i]] if self._guided else []

    def _all(self, i: int) -> dict[str, None]:
        return dict.fromkeys([*self._texts.prompts[i], *self._negatives(i)])

    def _encode(self, i: int, text: str, clip_skip: int | None) -> Outputs:
        """The text's outputs, its chunks filled up with those of the empty text."""
        encoder, ids = self._encoders[i], self._chunks[i][text][: self._length]
        missing = self._length - len(ids)
        return encoder.encode(np.concatenate([ids, encoder.chunks("").repeat(missing, axis=0)]), clip_skip)


def _start(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
