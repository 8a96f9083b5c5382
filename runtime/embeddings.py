"""Words that textual inversion added to a model, as its tokenizer wants them."""

from __future__ import annotations

import re
from collections.abc import Mapping


def tokens_of(token: str, vectors: int) -> list[str]:
    """The tokens of an embedding, one for each vector: <x> of three is <x>, <x>_1 and <x>_2."""
    return [token, *(f"{token}_{i}" for i in range(1, vectors))]


def expand(prompt: str, embeddings: Mapping[str, int]) -> str:
    """Write out each word of several vectors: "a <x>" becomes "a <x> <x>_1 <x>_2" where <x> has three.

    embeddings: token -> how many vectors it stands for.  A token is found wherever its letters stand, even inside
    another word, and of two that begin at one place the longer; capitals count.
    Source: Diffusers' maybe_convert_prompt.
    """
    written = {name: name for token, vectors in embeddings.items() for name in tokens_of(token, vectors)}
    written |= {token: " ".join(tokens_of(token, vectors)) for token, vectors in embeddings.items()}
    if not written:
        return prompt
    longest_first = sorted(written, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, longest_first)), lambda found: written[found[0]], prompt)
