"""Processes that print: what they say, and how they end."""

import os
import signal

import pytest

from aquatint.bench.timing.call import Call
from aquatint.bench.timing.order import Order
from aquatint.bench.timing.subject import Refused, Subject, WorkerFailed

CALL = Call("a boat", 0, 3, 7.5, 64, 64)


@pytest.fixture(scope="module")
def order(workshop):
    return Order("tiny", "bundle", str(workshop.bundle("tiny-sd", "ort:cpu")), threads=1)


@pytest.fixture(scope="module")
def opened(order):
    with Subject(order, CALL) as subject:
        subject.open()
        yield subject


def test_it_says_what_it_is_before_it_prints(opened):
    assert opened.opened.target == "ort:cpu"
    assert {"aquatint", "onnxruntime"} <= set(opened.opened.packages)
    assert opened.load.ready_s > opened.load.load_s > 0


def test_a_call_that_it_can_not_print_is_refused_and_the_next_one_is_printed(opened, tmp_path):
    with pytest.raises(Refused, match=r"^tiny: .*64"):
        opened.take(Call("a boat", 0, 3, 7.5, 65, 64))
    assert opened.failed is None
    sample = opened.take(CALL, tmp_path / "boat.png")
    assert sample.total > sum(sample.steps) > 0
    assert (tmp_path / "boat.png").is_file()


def test_the_memory_of_every_stage_is_seen(order):
    with Subject(order, CALL) as subject:
        subject.open()
        subject.take(CALL)
        subject.settle()
        subject.take_stages(CALL)
    names = [stage.name for stage in subject.memory.stages]
    assert names == ["load", "first picture", "pictures", "text_encoder", "unet", "vae_decoder"]
    assert all(stage.peak is None or stage.peak > 1e6 for stage in subject.memory.stages)


def test_one_that_is_killed_says_by_what_and_another_can_be_opened(order):
    with Subject(order, CALL) as subject:
        subject.open()
        first = subject.pid
        os.kill(first, signal.SIGKILL)
        with pytest.raises(WorkerFailed, match=r"^tiny: its process was killed by SIGKILL, as Linux does"):
            subject.take(CALL)
        assert subject.failed is not None
        subject.open()
        assert subject.failed is None
        assert subject.pid != first
        assert subject.take(CALL).total > 0


def test_one_that_can_not_open_says_why(tmp_path):
    with Subject(Order("none", "bundle", str(tmp_path)), CALL) as subject, pytest.raises(WorkerFailed) as raised:
        subject.open()
    assert "is no bundle" in str(raised.value)
    assert subject.failed == str(raised.value)


def test_an_end_without_a_word_gives_the_last_line_of_stderr(tmp_path, order):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho something else >&2\necho no room for this >&2\nexit 7\n")
    python.chmod(0o755)
    rival = Order("rival", "diffusers", str(tmp_path), python=str(python))
    with Subject(rival, CALL) as subject, pytest.raises(WorkerFailed) as raised:
        subject.open()
    assert str(raised.value) == "rival: its process ended with code 7: no room for this"
