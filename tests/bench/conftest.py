"""Comparisons: measured of tiny bundles, and made up."""

from dataclasses import replace

import pytest
from PIL import Image

from aquatint.bench.comparison_figures import Comparison, Entry, Figure, Likeness, Spread, Summary
from aquatint.profiles.profile import Budget, read_profile


@pytest.fixture(scope="session")
def compared(workshop):
    """Folders of tiny-sd: as it is, and with weights in 8 bits."""
    exact = read_profile("exact")
    profile = replace(exact, name="int8-weights", quantize={"default": "int8-weights"}, budget=Budget(0.5, 20.0))
    return workshop.bundle("tiny-sd", "ort:cpu"), workshop.bundle("tiny-sd", "ort:cpu", profile)


def picture(red, size=(64, 64)):
    return Image.new("RGB", size, (red, 0, 0))


def figure(value, ratio):
    return Figure(Spread(value, value, value), Spread(ratio, ratio, ratio))


@pytest.fixture
def made_up():
    """A comparison that nobody measured: a reference, a bundle of half its size, and one that failed."""
    float_entry = Entry(
        name="float", folder="out/float", target="ort:cpu", schemes=("none",), precisions=("fp32",),
        size_bytes=8_000_000, size_ratio=1.0, components={"unet": 6_000_000, "other": 2_000_000},
        load_s=figure(0.5, 1.0), step_s=figure(0.0421, 1.0), peak_bytes=figure(300e6, 1.0),
        anonymous_bytes=figure(200e6, 1.0), likeness=None, judged_right=None, failed=None,
    )  # fmt: skip
    int8 = replace(
        float_entry, name="int8", schemes=("int8-weights", "none"), size_bytes=4_000_000, size_ratio=0.5,
        components={"unet": 3_000_000, "other": 1_000_000},
        step_s=Figure(Spread(0.05, 0.04, 0.06), Spread(1.2, 0.9, 1.5)),
        likeness=Likeness((30.0, 40.0), (0.9, 0.98), Summary(35.0, 30.0), Summary(0.94, 0.9)),
    )  # fmt: skip
    broken = replace(
        float_entry, name="broken", load_s=None, step_s=None, peak_bytes=None, anonymous_bytes=None,
        failed="its process was killed by SIGKILL, as Linux does where memory runs out",
    )  # fmt: skip
    return Comparison(
        model="demo", machine="a machine", prompts=("a boat", "a <b>bold</b> & \"quoted\" <script>alert(1)</script>"),
        seed=7, steps=20, rounds=3, size=(64, 64), entries=(float_entry, int8, broken),
        pictures=((picture(11), picture(12)), (picture(21), picture(22)), ()),
    )  # fmt: skip
