"""Headers of .safetensors files, whole and broken."""

import json

import numpy as np
import pytest

from aquatint.compile.weight_file import Tensor, read_header
from aquatint.runtime.errors import BadModel

safetensors = pytest.importorskip("safetensors.numpy")


@pytest.fixture
def file(tmp_path):
    """Weights as the safetensors package writes them."""
    arrays = {"a": np.zeros((3, 5), np.float16), "b": np.zeros(7, np.float32), "ids": np.zeros(9, np.int64)}
    safetensors.save_file(arrays, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path / "model.safetensors"


def rewrite(file, table):
    """Put another header before no data."""
    header = json.dumps(table).encode()
    file.write_bytes(len(header).to_bytes(8, "little") + header)


def test_the_header_lists_tensors_and_no_metadata(file):
    assert read_header(file) == {
        "a": Tensor("F16", (3, 5), 30),
        "b": Tensor("F32", (7,), 28),
        "ids": Tensor("I64", (9,), 72),
    }


@pytest.mark.parametrize("missing", [1, 100])
def test_a_file_that_was_cut_short_is_refused_with_both_sizes(file, missing):
    content = file.read_bytes()
    file.write_bytes(content[:-missing])
    with pytest.raises(BadModel, match=f"cut short: it has {len(content) - missing} of {len(content)} bytes"):
        read_header(file)


@pytest.mark.parametrize("kept", [0, 4, 8, 40])
def test_a_file_that_was_cut_in_its_header_is_refused(file, kept):
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(BadModel, match=r"model\.safetensors is no \.safetensors file"):
        read_header(file)


@pytest.mark.parametrize(
    "content",
    [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",  # its first 8 bytes are a length of 2e18
        b"\xff" * 64,
        b"PK\x03\x04" + b"\0" * 60,
        b"\2" + b"\0" * 7 + b"{\xff",
    ],
)
def test_a_file_of_another_kind_is_refused(file, content):
    file.write_bytes(content)
    with pytest.raises(BadModel, match=r"model\.safetensors is no \.safetensors file"):
        read_header(file)


@pytest.mark.parametrize(
    "table",
    [
        [],
        {"a": 1},
        {"a": {}},
        {"a": {"dtype": "F16"}},
        {"a": {"dtype": "F16", "data_offsets": [1]}},
        {"a": {"dtype": "F16", "data_offsets": 2}},
        {"a": {"dtype": "F16", "data_offsets": [0, 0]}},
        {"a": {"dtype": "F16", "data_offsets": [0, 0], "shape": 3}},
        {"a": {"dtype": "F16", "data_offsets": [0, 0], "shape": [2]}},
        {"a": {"dtype": "F16", "data_offsets": [0, 0], "shape": [0, -1]}},
    ],
)
def test_a_header_that_lists_no_tensors_is_refused(file, table):
    rewrite(file, table)
    with pytest.raises(BadModel, match=r"is no \.safetensors file"):
        read_header(file)


def test_a_missing_file_is_a_bad_model(tmp_path):
    with pytest.raises(BadModel, match=r"gone\.safetensors"):
        read_header(tmp_path / "gone.safetensors")
