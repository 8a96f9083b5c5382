"""Records: what a PNG, which may be a stranger's, can say and what it can't."""

import hashlib

import pytest
from PIL import Image

from aquatint.remake import FORMAT, Input, check_input, printable, read_record
from aquatint.runtime.errors import BadRequest
from aquatint.runtime.pixels import save_png


@pytest.fixture
def png(tmp_path):
    def write(table):
        save_png(Image.new("RGB", (8, 8)), tmp_path / "old.png", table)
        return tmp_path / "old.png"

    return write


def test_every_argument_but_arrays_is_handed_on(png):
    said = {
        "prompt": ["a", "b"], "seed": [1, 2], "strength": 1, "scheduler": {"_class_name": "DDIMScheduler"},
        "timesteps": [999, 500.5], "original_size": [64, 32], "vae_tiling": True,
    }  # fmt: skip
    found = read_record(png({**said, "image": {"path": "a.png", "sha256": "00"}, "model": "demo"}))
    assert found.request == {
        **said, "prompt": ("a", "b"), "seed": (1, 2), "timesteps": (999.0, 500.5), "original_size": (64, 32)
    }  # fmt: skip
    assert found.inputs == {"image": Input("a.png", "00")}


@pytest.mark.parametrize(
    "table, words",
    [
        ([], "is no table of keys"),
        ({}, "lacks the key prompt"),
        ({"prompt": 5}, "prompt is 5, expected str"),
        ({"prompt": "a", "seed": "7"}, "seed is '7', expected int"),
        ({"prompt": "a", "height": True}, "height is True, expected int"),
        ({"prompt": "a", "image": "a.png"}, "image is a text, expected a table"),
        ({"prompt": "a", "image": {"path": "a.png"}}, "lacks the key sha256"),
        ({"prompt": "a", "original_size": [1]}, "has 1 entries, expected 2"),
        ({"prompt": "a", "exec": "rm"}, "has no key exec"),
        ({"prompt": "a", "bad\n\x1b[31mkey": 1}, r"has no key bad\?\?\[31mkey"),
        ({"prompt": "a", "seed": "x" * 10_000}, "seed is 'xxx"),
        ({"prompt": "a", "format": FORMAT + 1}, "later aquatint"),
    ],
)
def test_a_record_of_another_shape_is_one_short_line(png, table, words):
    with pytest.raises(BadRequest, match=words) as refused:
        read_record(png(table))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 300


def test_a_file_is_taken_only_as_it_was(tmp_path):
    file = tmp_path / "start.png"
    file.write_bytes(b"as it was")
    kept = Input(str(file), hashlib.sha256(b"as it was").hexdigest())
    assert check_input(kept, "image") is kept
    file.write_bytes(b"other")
    with pytest.raises(BadRequest, match=r"start\.png has changed since the picture was made"):
        check_input(kept, "image")
    file.unlink()
    with pytest.raises(BadRequest, match=r"start\.png, which the picture was made from, is not here"):
        check_input(kept, "image")


@pytest.mark.parametrize("path", ["/dev/zero", "a\0b", "x" * 5000, "\ud800", ".", ""])
def test_what_is_no_plain_file_is_not_opened(path):
    with pytest.raises(BadRequest, match="is not here") as refused:
        check_input(Input(path, "00"), "image")
    assert str(refused.value).isprintable()


def test_a_strangers_text_is_one_line_without_escapes():
    assert printable("a\x1b[2J\nb\u202e") == "a?[2J?b?"
    assert len(printable("x" * 1000)) < 250
