"""The checkpoint's tokenizer as one tokenizer.json, so that the runtime needs no transformers."""

from __future__ import annotations

from pathlib import Path

from ..runtime.errors import BadModel


def write_tokenizer(source: Path, folder: Path) -> None:
    """Write `folder`/tokenizer.json: it pads and cuts as the Diffusers pipeline asks the tokenizer to.

    source: a Diffusers tokenizer folder, with tokenizer.json or with vocab.json and merges.txt.  Raises BadModel.
    """
    from transformers import CLIPTokenizer

    try:
        tokenizer = CLIPTokenizer.from_pretrained(str(source), local_files_only=True)
    except Exception as reason:  # transformers' errors share no class
        raise BadModel(f"{source} holds no CLIP tokenizer: {reason}") from reason
    fast = tokenizer.backend_tokenizer
    length = tokenizer.model_max_length
    fast.enable_truncation(length)
    fast.enable_padding(length=length, pad_id=tokenizer.pad_token_id, pad_token=str(tokenizer.pad_token))
    folder.mkdir(parents=True)
    fast.save(str(folder / "tokenizer.json"))
