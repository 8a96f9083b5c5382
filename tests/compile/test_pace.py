"""Whether a quantized component is faster: timed in turns with the one in floats, and said where it is not."""

import logging
import time

import numpy as np
import pytest

from aquatint.compile.pace import LEAST_CALLS, MOST_CALLS, call_seconds
from aquatint.runtime.manifest import read_manifest


class Sleeper:
    """A session whose calls take so long, the first of them longer."""

    def __init__(self, seconds):
        self.seconds, self.calls = seconds, 0

    def run(self, feeds):
        self.calls += 1
        time.sleep(self.seconds * (5 if self.calls == 1 else 1))


def test_the_first_call_does_not_count():
    assert call_seconds(Sleeper(0.01), {}) == pytest.approx(0.01, rel=0.5)


def test_slow_calls_are_few():
    quick, slow = Sleeper(0.001), Sleeper(0.4)
    call_seconds(quick, {})
    assert quick.calls == 1 + MOST_CALLS
    call_seconds(slow, {"x": np.zeros(1)})
    assert 1 + LEAST_CALLS <= slow.calls < 1 + MOST_CALLS


def test_a_compile_says_how_the_time_of_each_quantized_component_changed(workshop, quantized_profile, caplog, tmp_path):
    with caplog.at_level(logging.INFO, logger="aquatint"):
        folder = workshop.compile(workshop.checkpoint("tiny-sd"), "ort:cpu", quantized_profile, tmp_path / "bundle")
    parts = {part.name: part for part in read_manifest(folder).components}
    assert "time_ratio" not in parts["vae_decoder"].quality
    ratio = parts["unet"].quality["time_ratio"]
    assert 0.01 < ratio < 100
    (line,) = [record.message for record in caplog.records if " of the time of " in record.message]
    assert line.startswith(f"unet: int8-weights takes {ratio:.2f} of the time of fp32")
    assert ("it saves memory and disk, not time" in line) == (ratio > 1)


@pytest.fixture
def quantized_profile(exact):
    from dataclasses import replace

    from aquatint.profiles.budget import Budget

    return replace(exact, name="unet-int8-weights", quantize={"unet": "int8-weights"}, budget=Budget(0.5, 20.0))
