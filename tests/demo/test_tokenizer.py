"""The demo's tokenizer: one token a word, and no crash on any other text."""

import pytest

from aquatint.demo.prompts import WORDS
from aquatint.demo.tokenizer import LENGTH, learn_merges, write_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return transformers.CLIPTokenizer.from_pretrained(folder)


def test_each_word_is_one_token_between_start_and_end(tokenizer):
    for word in WORDS:
        start, _, end = tokenizer(word).input_ids
        assert (start, end) == (tokenizer.bos_token_id, tokenizer.eos_token_id)


def test_a_prompt_is_padded_with_the_end_token(tokenizer):
    ids = tokenizer("a red circle", padding="max_length").input_ids
    assert len(ids) == LENGTH
    assert set(ids[4:]) == {tokenizer.eos_token_id}


def test_unknown_words_are_spelled_and_unknown_signs_are_the_end_token(tokenizer):
    pieces = tokenizer.tokenize("Zed")
    assert pieces[0] == "z"
    assert "".join(pieces) == "zed</w>"
    assert set(tokenizer("日本", add_special_tokens=False).input_ids) == {tokenizer.unk_token_id}


def test_merges_join_the_most_frequent_pair_first():
    assert learn_merges(("low", "lot")) == [("l", "o"), ("lo", "t</w>"), ("lo", "w</w>")]
