"""Prompts to token ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .errors import BundleCorrupt


class Tokenizer:
    """A tokenizer.json; how it pads and cuts stands in the file."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer as Fast

        try:
            self._fast: Any = Fast.from_file(str(path))
        except Exception as reason:  # the Rust side raises plain Exception
            raise BundleCorrupt(f"{path} is no tokenizer: {reason}") from reason

    def chunks(self, text: str) -> np.ndarray:
        """Token ids in pieces that the text encoder can read, (pieces, 77) int64, each begun, ended and padded.

        A text of up to 75 tokens is one piece; the first piece is what Diffusers cuts a longer one to.
        """
        return np.array([piece.ids for piece in self._pieces(text)], np.int64)

    def count(self, text: str) -> int:
        """How many tokens a text has, without those that begin, end and pad it."""
        return sum(sum(piece.attention_mask) - 2 for piece in self._pieces(text))

    def _pieces(self, text: str) -> list[Any]:
        whole = self._fast.encode(text)
        return [whole, *whole.overflowing]
