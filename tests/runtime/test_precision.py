"""Precisions as words."""

import pytest

from aquatint.runtime.errors import UnknownName
from aquatint.runtime.precision import BITS, PRECISIONS, Precision


@pytest.mark.parametrize(
    "word, weights, math",
    [
        ("fp32", "fp32", "fp32"),
        ("fp16", "fp16", "fp16"),
        ("bf16", "bf16", "bf16"),
        ("fp16-weights", "fp16", "fp32"),
        ("bf16-weights", "bf16", "fp32"),
    ],
)
def test_a_word_says_how_weights_are_stored_and_computed_with(word, weights, math):
    assert Precision.parse(word) == Precision(weights, math)


def test_every_word_is_read_and_has_a_size():
    assert {Precision.parse(word).weights for word in PRECISIONS} == set(BITS)


@pytest.mark.parametrize("word", ["fp8", "", "FP16", "weights", "fp32-weights", "fp16-"])
def test_an_unknown_word_lists_the_known_ones(word):
    with pytest.raises(UnknownName, match=r"known: fp32, fp16, bf16, fp16-weights, bf16-weights$") as caught:
        Precision.parse(word)
    assert repr(word) in str(caught.value)
