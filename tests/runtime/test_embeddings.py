"""Words of several vectors in a prompt, against Diffusers' own expansion."""

import pytest

from aquatint.runtime.embeddings import expand, tokens_of

WORDS = {"<cat>": 3, "<dog>": 1, "toy": 2, "style-x.v2": 4, "Loud": 1, "a+b (c)": 2}
PROMPTS = [
    "",
    "a photograph",
    "<cat>",
    "a <cat> and a <dog>, a <cat>",
    "<cat><cat>,<dog>",
    "a <CAT> and a <Cat>",  # capitals count, and one vector is all it gets
    "toys and toyland in Style-X.v2, Loud loud",
    "style-x.v2 style-x.v2_ toy, a+b (c)!",
    "<cat",
    "a <cat>\n  toy <dog>_1",
    "<|endoftext|> <cat> <|startoftext|>",
]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Diffusers' maybe_convert_prompt with a tokenizer that knows the words."""
    transformers = pytest.importorskip("transformers")
    loaders = pytest.importorskip("diffusers.loaders")
    from aquatint.bench.checkpoints import write_tokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder, "!")
    tokenizer = transformers.CLIPTokenizer.from_pretrained(folder)
    for word, vectors in WORDS.items():
        tokenizer.add_tokens(tokens_of(word, vectors))
    return lambda prompt: loaders.TextualInversionLoaderMixin().maybe_convert_prompt(prompt, tokenizer)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_words_are_written_out_as_diffusers_does(theirs, prompt):
    assert expand(prompt, WORDS) == theirs(prompt)


def test_a_word_of_three_vectors_is_three_tokens():
    assert expand("a <cat>, <cat>", {"<cat>": 3}) == "a <cat> <cat>_1 <cat>_2, <cat> <cat>_1 <cat>_2"


def test_of_two_words_that_begin_alike_the_longer_is_meant():
    # Diffusers would write the shorter one out inside the longer.
    assert expand("cat cats cat", {"cat": 2, "cats": 2}) == "cat cat_1 cats cats_1 cat cat_1"


def test_without_embeddings_a_prompt_stays_as_it_is():
    assert expand("a <cat>", {}) == "a <cat>"
