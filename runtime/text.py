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

    def encode(self, text: str) -> np.ndarray:
        """Token ids, (1, length) int64, padded and cut to the text encoder's length."""
        return np.array([self._fast.encode(text).ids], np.int64)
