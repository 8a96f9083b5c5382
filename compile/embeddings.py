"""Textual inversion: vectors for words that a text encoder does not know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..runtime.bundle import sha256_of
from ..runtime.embeddings import tokens_of
from ..runtime.errors import BadModel
from .lora import check_file

WORD = re.compile(r"(?P<file>.+?\.(?:safetensors|pt|pth|bin|ckpt))(?::(?P<token>.*))?", re.DOTALL)
HINT = "write FILE or FILE:TOKEN, such as cat.safetensors:<cat-toy>"
FIRST, SECOND = "text_encoder", "text_encoder_2"
NAMELESS = "emb_params"  # Automatic1111's key; the word is the file's name, which has no capitals for CLIP
PAIR = {"clip_l": FIRST, "clip_g": SECOND}  # SDXL's


@dataclass(frozen=True)
class Embedding:
    """A file, and the word that it gives a meaning to.

    keys: text encoder -> the tensor with its vectors.  vectors: how many the word stands for; each is a token.
    """

    file: Path
    token: str
    vectors: int
    keys: Mapping[str, str]

    @property
    def tokens(self) -> list[str]:
        """What the tokenizers learn, in the order of the vectors."""
        return tokens_of(self.token, self.vectors)

    @cached_property
    def sha256(self) -> str:
        return sha256_of(self.file)

    def load(self, network: str) -> Any:
        """The vectors for one text encoder, (vectors, width) float32.  Raises BadModel where one is not finite."""
        from safetensors import safe_open

        with safe_open(self.file, framework="pt") as file:
            tensor = file.get_tensor(self.keys[network]).float()
        if not tensor.isfinite().all():
            raise BadModel(f"{self.file} has values that are not finite in {self.keys[network]}")
        return tensor.reshape(self.vectors, -1)


def parse_embedding(word: str) -> Embedding:
    """FILE or FILE:TOKEN, the command line's way; without TOKEN the word is the file's own, or its name.

    Raises BadModel where the file can't be used.
    """
    said = None if Path(word).is_file() else WORD.fullmatch(word)
    file = Path(said["file"] if said else word)
    check_file(file, "embedding", HINT)
    shapes = _shapes(file)
    if set(shapes) == set(PAIR):
        keys, own = {network: key for key, network in PAIR.items()}, file.stem.lower()
    elif len(shapes) == 1:
        (key,) = shapes
        keys, own = {FIRST: key}, file.stem.lower() if key == NAMELESS else key
    else:
        raise BadModel(
            f"{file} is no textual inversion: it has {len(shapes)} tensors ({', '.join(list(shapes)[:4])}), "
            f"where one has a single tensor, or {' and '.join(PAIR)}"
        )
    counts = {shape[0] if len(shape) == 2 else 1 for shape in shapes.values()}
    if len(counts) > 1 or 0 in counts or any(len(shape) not in (1, 2) for shape in shapes.values()):
        raise BadModel(
            f"{file} has vectors of shape {list(shapes.values())}; it takes (vectors, width), as many for each"
        )
    token = own if said is None or said["token"] is None else said["token"]
    if not token or token != token.strip():
        raise BadModel(f"the word of {file} is {token!r}, which no prompt can hold; {HINT}")
    return Embedding(file, token, counts.pop(), keys)


def check_embeddings(embeddings: Sequence[Embedding], widths: Mapping[str, int], tokenizers: Mapping[str, Any]) -> None:
    """Raises BadModel where an embedding does not fit the text encoders, or its word is taken or can't be read.

    widths: of each text encoder's vectors.  tokenizers: transformers' own, of each text encoder.
    """
    # The token after the last is free too, or Diffusers would take it for one more vector of the word.
    taken = {network: set(tokenizer.get_vocab()) for network, tokenizer in tokenizers.items()}
    for embedding in embeddings:
        if set(embedding.keys) != set(widths):
            raise BadModel(
                f"{embedding.file} has vectors for {' and '.join(embedding.keys)}; "
                f"the model's text encoders are {' and '.join(widths)}"
            )
        shapes = _shapes(embedding.file)
        for network, key in embedding.keys.items():
            if shapes[key][-1] != widths[network]:
                raise BadModel(
                    f"{embedding.file} has vectors of {shapes[key][-1]} numbers, {network} takes {widths[network]}; "
                    "it was made for another kind of model"
                )
            _check_spelling(embedding, tokenizers[network])
            wanted = tokens_of(embedding.token, embedding.vectors + 1)
            known = [token for token in wanted if token in taken[network]]
            if known:
                raise BadModel(
                    f"the word {embedding.token} of {embedding.file} can't be taught: {known[0]} is a token already; "
                    f"choose another word: {embedding.file}:TOKEN"
                )
            taken[network] |= set(wanted)


def extend(module: Any, tokenizer: Any, network: str, embeddings: Sequence[Embedding]) -> None:
    """Teach a torch text encoder and its tokenizer the words, under the ids that Diffusers gives them.

    Raises BadModel where the tokenizer knows more words than the encoder.
    """
    import torch

    table = module.get_input_embeddings()
    first = len(tokenizer)
    if first > len(table.weight):
        raise BadModel(f"the tokenizer of {network} has {first} tokens, the network only {len(table.weight)}")
    tokenizer.add_tokens([token for embedding in embeddings for token in embedding.tokens])
    rows = torch.cat([table.weight.data[:first], *(embedding.load(network) for embedding in embeddings)])
    table.weight = torch.nn.Parameter(rows, requires_grad=False)
    table.num_embeddings = len(rows)


def _check_spelling(embedding: Embedding, tokenizer: Any) -> None:
    """Diffusers writes out a word of several vectors only as the tokenizer reads it, without capitals for CLIP."""
    normalizer = tokenizer.backend_tokenizer.normalizer
    read = normalizer.normalize_str(embedding.token) if normalizer else embedding.token
    if embedding.vectors > 1 and read != embedding.token:
        raise BadModel(
            f"the tokenizer reads the word {embedding.token} as {read}, and would use one of its {embedding.vectors} "
            f"vectors; teach it as it is read: {embedding.file}:{read}"
        )


def _shapes(file: Path) -> dict[str, tuple[int, ...]]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as opened:
        return {key: tuple(opened.get_slice(key).get_shape()) for key in opened.keys()}  # noqa: SIM118
