"""Schemes found by the names of their files."""

import inspect

import pytest

from aquatint.quantize.layers import KINDS
from aquatint.quantize.scheme import NONE, Scheme, find_scheme, names
from aquatint.runtime.errors import UnknownName

SCHEMES = [name for name in names() if name != NONE]


def test_names_have_hyphens_and_none_comes_first():
    assert names() == ("none", "fp8", "int4", "int8", "int8-weights", "nf4")


@pytest.mark.parametrize("name", SCHEMES)
def test_a_scheme_has_all_that_is_asked_of_one(name):
    scheme = find_scheme(name)
    assert name == scheme.NAME
    assert scheme.DESCRIPTION
    assert "\n" not in scheme.DESCRIPTION
    assert 0 < scheme.BITS < 16
    assert scheme.KINDS
    assert set(scheme.KINDS) <= set(KINDS)
    assert scheme.FALLBACK in names()
    for function in ("check", "calibrated", "settle", "refusal", "size_bytes", "quantize"):
        asked = list(inspect.signature(getattr(Scheme, function)).parameters)[1:]
        assert list(inspect.signature(getattr(scheme, function)).parameters) == asked
    scheme.check(scheme.SETTINGS)


@pytest.mark.parametrize("name", SCHEMES)
def test_every_way_out_ends(name):
    seen = []
    while name != NONE:
        assert name not in seen
        seen.append(name)
        name = find_scheme(name).FALLBACK


def test_an_unknown_scheme_lists_the_known_ones():
    with pytest.raises(UnknownName, match="unknown scheme 'q4_k'; known: fp8, int4, int8, int8_weights, nf4"):
        find_scheme("q4_k")
