"""The written tokenizer.json against transformers' own tokenizer."""

import pytest

from aquatint.bench.checkpoints import write_tokenizer as write_clip
from aquatint.compile.tokenizers import write_tokenizer
from aquatint.demo.tokenizer import write_tokenizer as write_demo
from aquatint.runtime.errors import BadModel
from aquatint.runtime.text import Tokenizer

transformers = pytest.importorskip("transformers")

TEXTS = [
    "",
    " ",
    "a cat",
    "A  Cat,\n sitting\t-- on 2 mats!!",
    "\U0001f408\u200d\u2b1b \U0001f3a8 \u6a21\u578b na\u00efve \u0130stanbul",
    "<|endoftext|> a <|startoftext|> b",
    "don't (a:1.2) [b] \x00 \ufeff",
    "a large red circle on a white background",
    "word " * 300,
    "\U0001f408" * 300,
]


@pytest.fixture(scope="module", params=["<|endoftext|>", "!", "demo"])
def both(request, tmp_path_factory):
    """(ours, transformers') for both kinds of padding, SD's and SDXL's second, and for the demo's vocabulary."""
    folder = tmp_path_factory.mktemp("tokenizers")
    source = folder / "source"
    if request.param == "demo":
        write_demo(source)
    else:
        write_clip(source, request.param)
    write_tokenizer(source, folder / "ours")
    theirs = transformers.CLIPTokenizer.from_pretrained(source)
    return Tokenizer(folder / "ours" / "tokenizer.json"), theirs


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: ascii(text[:12]))
def test_ids_are_those_of_transformers(both, text):
    ours, theirs = both
    expected = theirs(text, padding="max_length", max_length=77, truncation=True, return_tensors="np").input_ids
    found = ours.chunks(text)[:1]  # Diffusers cuts what is longer
    assert (found.shape, found.dtype) == ((1, 77), expected.dtype)
    assert found.tolist() == expected.tolist()


def test_one_file_is_written(tmp_path):
    write_clip(tmp_path / "source", "!")
    write_tokenizer(tmp_path / "source", tmp_path / "ours")
    assert [file.name for file in (tmp_path / "ours").iterdir()] == ["tokenizer.json"]


def test_a_folder_without_a_tokenizer_is_a_bad_model(tmp_path):
    (tmp_path / "tokenizer").mkdir()
    with pytest.raises(BadModel, match="tokenizer holds no CLIP tokenizer"):
        write_tokenizer(tmp_path / "tokenizer", tmp_path / "ours")


def test_a_tokenizer_without_a_length_is_a_bad_model(tmp_path):
    write_clip(tmp_path / "source", "!")
    config = tmp_path / "source" / "tokenizer_config.json"
    config.write_text(config.read_text().replace('"model_max_length": 77', '"x": 77'))
    with pytest.raises(BadModel, match="model_max_length"):
        write_tokenizer(tmp_path / "source", tmp_path / "ours")
