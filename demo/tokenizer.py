"""Makes the demo's CLIP tokenizer: one token for each caption word, letters for any other."""

import json
import string
from collections import Counter
from itertools import pairwise
from pathlib import Path

from .prompts import WORDS

LENGTH = 77
START, END = "<|startoftext|>", "<|endoftext|>"


def write_tokenizer(folder: Path) -> None:
    """Write a folder that CLIPTokenizer loads; padding and unknown signs are the end token, as in CLIP."""
    from transformers import CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges(WORDS)
    letters = string.ascii_lowercase + string.digits + ".,!?'-"
    tokens = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges), START, END]
    vocab = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(vocab, indent=0) + "\n")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)]) + "\n")
    tokenizer = CLIPTokenizer.from_pretrained(
        folder, bos_token=START, eos_token=END, pad_token=END, unk_token=END, model_max_length=LENGTH
    )
    tokenizer.save_pretrained(folder)


def learn_merges(words: tuple[str, ...]) -> list[tuple[str, str]]:
    """Byte-pair merges, most frequent first, until every word is one token.

    Source: Sennrich et al. 2016, arXiv:1508.07909, algorithm 1; ties go to the alphabet.
    """
    pieces = [[*word[:-1], word[-1] + "</w>"] for word in words]
    merges = []
    while any(len(word) > 1 for word in pieces):
        counts = Counter(pair for word in pieces for pair in pairwise(word))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        pieces = [_merge(word, best) for word in pieces]
    return merges


def _merge(word: list[str], pair: tuple[str, str]) -> list[str]:
    merged: list[str] = []
    for piece in word:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return merged
