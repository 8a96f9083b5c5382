"""Sweeps from words."""

import pytest

from aquatint.bench.timing.call import Call
from aquatint.bench.timing.sweep import parse_size, sweep
from aquatint.runtime.errors import BadRequest

BASE = Call("a boat", 0, 10, 7.5, 128, 128)


def test_every_combination_is_there_once_the_base_first_and_then_the_smallest():
    calls = sweep("batch=1,2 size=64,128 steps=10,20", BASE)
    assert calls[0] == BASE
    assert len(set(calls)) == len(calls) == 8
    assert [call.pixels for call in calls[1:]] == sorted(call.pixels for call in calls[1:])
    assert {(call.images, call.height, call.steps) for call in calls} == {
        (images, height, steps) for images in (1, 2) for height in (64, 128) for steps in (10, 20)
    }


def test_what_is_not_named_stays():
    assert sweep("size=64x96", BASE)[1:] == [Call("a boat", 0, 10, 7.5, 64, 96)]
    assert sweep("", BASE) == [BASE]


@pytest.mark.parametrize(
    "wrong, says",
    [
        ("colour=1", "--sweep has 'colour=1'"),
        ("batch", "--sweep has 'batch'"),
        ("batch=1 batch=2", "--sweep has 'batch=2'"),
        ("batch=0", "batch=0; it must be a number of at least 1"),
        ("steps=2", "steps=2; it must be a number of at least 3"),
        ("batch=1,,2", "batch=; it must be"),
        ("size=large", "a size is 'large'"),
        ("size=0", "a size is '0'"),
        ("size=5x", "a size is '5x'"),
    ],
)
def test_words_that_are_none_are_refused(wrong, says):
    with pytest.raises(BadRequest) as raised:
        sweep(wrong, BASE)
    assert says in str(raised.value)


def test_one_number_is_a_square():
    assert parse_size("512") == (512, 512)
    assert parse_size("512x768") == (512, 768)
