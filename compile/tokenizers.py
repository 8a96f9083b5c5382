"""The checkpoint's tokenizer as one tokenizer.json, so that the runtime needs no transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..runtime.errors import BadModel

PIECES = ("vocab.json", "merges.txt")
CONFIG = "tokenizer_config.json"
LONGEST = 1 << 20  # transformers puts 1e30 where the length is not stated


def check_tokenizer(source: Path) -> None:
    """Raises BadModel where a tokenizer folder lacks its vocabulary; transformers would take an empty one."""
    if not (source / "tokenizer.json").is_file() and not all((source / name).is_file() for name in PIECES):
        raise BadModel(f"{source} holds no CLIP tokenizer: neither tokenizer.json nor {' and '.join(PIECES)}")


def read_tokenizer(source: Path) -> Any:
    """transformers' tokenizer of a Diffusers folder, with tokenizer.json or with vocab.json and merges.txt.

    Raises BadModel.
    """
    from transformers import CLIPTokenizer

    check_tokenizer(source)
    try:
        return CLIPTokenizer.from_pretrained(str(source), local_files_only=True)
    except Exception as reason:  # transformers' errors share no class
        raise BadModel(f"{source} holds no CLIP tokenizer: {reason}") from reason


def write_tokenizer(source: Path, folder: Path, added: Sequence[str] = ()) -> None:
    """Write `folder`/tokenizer.json: it pads and cuts as the Diffusers pipeline asks the tokenizer to.

    source: for read_tokenizer.  added: tokens that follow its own, as textual inversion adds them.  Raises BadModel.
    """
    tokenizer = read_tokenizer(source)
    tokenizer.add_tokens(list(added))
    fast = tokenizer.backend_tokenizer
    length = tokenizer.model_max_length
    if length > LONGEST:
        raise BadModel(f"{source} does not say how many tokens a text may have: model_max_length in {CONFIG}")
    fast.enable_truncation(length)
    fast.enable_padding(length=length, pad_id=tokenizer.pad_token_id, pad_token=str(tokenizer.pad_token))
    folder.mkdir(parents=True)
    fast.save(str(folder / "tokenizer.json"))
