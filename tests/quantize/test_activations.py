"""Recordings: written, read one layer at a time, and named where they are broken."""

import json

import numpy as np
import pytest

from aquatint.quantize.activations import WATCHED, Activation, Activations, write_call
from aquatint.quantize.observe import HIGH, LOW, ROWS
from aquatint.runtime.errors import BadModel

RNG = np.random.default_rng(0)
CALLS = [
    {
        f"{ROWS}x": RNG.standard_normal((5, 4)).astype(np.float32) * scale,
        f"{LOW}x": np.full(4, -9 * scale, np.float32),
        f"{HIGH}x": np.arange(4, dtype=np.float32) * scale,
        f"{ROWS}picture": RNG.standard_normal((2, 3, 5)).astype(np.float32),
        f"{LOW}picture": np.full(3, -4, np.float32),
        f"{HIGH}picture": np.full(3, 4, np.float32),
    }
    for scale in (1, 10, 1e6)
]


@pytest.fixture
def folder(tmp_path):
    values = {"to_q": "x", "to_k": "x", "conv_in": "picture"}
    (tmp_path / WATCHED).write_text(json.dumps(values), encoding="utf-8")
    for index, call in enumerate(CALLS):
        write_call(tmp_path, index, call)
    return tmp_path


def test_what_was_written_comes_back_call_by_call(folder):
    found = Activations(folder).of("to_q")
    assert len(found.rows) == 3
    for rows, call in zip(found.rows, CALLS, strict=True):
        assert rows.dtype == np.float32
        # Half of a step in 16 bits.
        np.testing.assert_allclose(rows, call[f"{ROWS}x"], rtol=2**-11, atol=2**-25)
    assert np.array_equal(found.low, [call[f"{LOW}x"] for call in CALLS])
    assert np.array_equal(found.high, [call[f"{HIGH}x"] for call in CALLS])


def test_rows_take_16_bits_only_where_their_numbers_fit(folder):
    kinds = []
    for file in Activations(folder).calls:
        with np.load(file) as arrays:
            kinds.append((arrays[f"{ROWS}x"].dtype, arrays[f"{LOW}x"].dtype))
    assert kinds == [(np.float16, np.float32), (np.float16, np.float32), (np.float32, np.float32)]


def test_rows_of_a_picture_have_their_channels_last(folder):
    (rows, *_) = Activations(folder).of("conv_in").rows
    assert rows.shape == (10, 3)
    drawn = CALLS[0][f"{ROWS}picture"].astype(np.float16)
    assert np.array_equal(rows[7], drawn[1, :, 2])


def test_layers_that_share_a_value_share_what_was_read(folder):
    found = Activations(folder)
    assert found.of("to_q") is found.of("to_k")
    assert found.value("to_k") == "x"
    first = found.of("to_q")
    assert found.of("conv_in").low.shape == (3, 3)
    again = found.of("to_q")
    assert again is not first  # one at a time is kept
    assert np.array_equal(again.rows[0], first.rows[0])


def test_a_layer_that_was_not_watched_has_none(folder):
    assert Activations(folder).of("to_out") is None
    assert Activations(folder).value("to_out") is None


def test_without_a_call_there_is_none(folder):
    for file in folder.glob("*.npz"):
        file.unlink()
    assert Activations(folder).of("to_q") is None


def cut(file):
    file.write_bytes(file.read_bytes()[:300])


def empty(file):
    file.write_bytes(b"")


def without_rows(file):
    np.savez(file, **{f"{LOW}x": np.zeros(4)})


def a_pickle(file):
    np.savez(file, **{f"{ROWS}x": np.array([{}], object)}, allow_pickle=True)


@pytest.mark.parametrize("harm", [cut, empty, without_rows, a_pickle])
def test_a_broken_recording_is_named(harm, folder):
    harm(folder / "0001.npz")
    with pytest.raises(BadModel, match=r"0001\.npz is damaged: .*; remove it from the cache and compile again"):
        Activations(folder).of("to_q")


def test_factors_multiply_channels(folder):
    factors = np.array([0.5, 1, 2, 4], np.float32)
    plain = Activations(folder).of("to_q")
    scaled = plain.times(factors)
    for ours, rows in zip(scaled.rows, plain.rows, strict=True):
        assert np.array_equal(ours, rows * factors)
    assert np.array_equal(scaled.low, plain.low * factors)
    assert np.array_equal(scaled.high, plain.high * factors)


def test_feedback_is_made_of_all_calls_and_only_once():
    rows = tuple(RNG.standard_normal((6, 4)).astype(np.float32) for _ in range(3))
    found = Activation(rows, np.zeros((3, 4)), np.zeros((3, 4)))
    assert found.feedback is found.feedback
    every = np.concatenate(rows)
    assert np.allclose(found.feedback.rows, every / np.abs(every).max())
