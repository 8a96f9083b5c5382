"""Targets as words."""

import string
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aquatint.runtime.errors import UnknownName
from aquatint.runtime.target import Target

LETTERS = st.sampled_from(string.ascii_lowercase)
SIGNS = string.ascii_lowercase + string.digits


@given(
    st.builds(str.__add__, LETTERS, st.text(SIGNS + "-", max_size=9)),
    st.builds(str.__add__, LETTERS, st.text(SIGNS + ".", max_size=9)),
)
def test_parse_is_the_inverse_of_str(backend, device):
    target = Target.parse(f"{backend}:{device}")
    assert (target.backend, target.device) == (backend, device)
    assert Target.parse(str(target)) == target


@given(st.text())
def test_any_text_is_either_a_target_that_writes_itself_or_refused(text):
    with suppress(UnknownName):
        assert str(Target.parse(text)) == text


@pytest.mark.parametrize("word", ["openvino:cpu", "openvino:npu", "ort:cuda", "tensorrt:sm89", "openvino:gpu.1"])
def test_the_designs_targets_are_read(word):
    assert str(Target.parse(word)) == word


@pytest.mark.parametrize("word", ["", "auto", "openvino", "openvino:", ":cpu", "OpenVINO:cpu", "ort:cpu\n", "a:b:c"])
def test_another_form_is_refused_with_an_example(word):
    with pytest.raises(UnknownName, match="write backend:device, for example openvino:cpu"):
        Target.parse(word)
