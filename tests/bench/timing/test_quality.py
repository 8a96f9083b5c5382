"""Pictures of subjects against those of the float model."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from aquatint.bench.timing.call import Call
from aquatint.bench.timing.quality import flip, golden_gallery, prompt_gallery, view
from aquatint.bench.timing.subject import WorkerFailed
from aquatint.runtime.errors import BadRequest
from aquatint.terminal import drive

CALL = Call("a boat", 0, 3, 7.5, 64, 64)
NOISE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


class Subject:
    """One that saves the golden image with something added."""

    def __init__(self, name, image, added=0, fails=False):
        self.order, self.failed = SimpleNamespace(name=name), None
        self.calls = []
        self._image, self._added, self._fails = image, added, fails

    def take(self, call, save):
        self.calls.append(call)
        if self._fails:
            self.failed = "gone"
            raise WorkerFailed("gone")
        Image.fromarray(np.clip(self._image.astype(int) + self._added, 0, 255).astype(np.uint8)).save(save)


def test_flip_is_nothing_for_the_same_and_all_for_black_against_white():
    black, white = (Image.new("RGB", (32, 32), colour) for colour in ("black", "white"))
    assert flip(black, black) == 0
    assert flip(black, white) > 0.9
    nearly = Image.new("RGB", (32, 32), (10, 10, 10))
    assert 0 < flip(nearly, black) < flip(Image.new("RGB", (32, 32), (60, 60, 60)), black) < 0.9


def test_golden_images_are_printed_as_they_were_and_compared(workshop):
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    gallery = golden_gallery(folder, judge=False)
    with Image.open(gallery.shots[0].reference) as picture:
        golden = np.asarray(picture.convert("RGB"))
    same, other = Subject("same", golden), Subject("other", golden, added=1)
    qualities = drive(view([same, other], gallery), lambda doing: None)
    assert same.calls[0] == gallery.shots[0].call
    first = [quality.pictures[0] for quality in qualities]
    assert (first[0].psnr_db, first[0].flip) == (100, 0)
    # One more in every value: 20 log10(255), but where it was at 255 already.
    assert first[1].psnr_db == pytest.approx(48.13, abs=0.5)
    assert qualities[0].reference == "golden images of diffusers"


def test_prompts_are_held_against_the_subject_in_float(workshop):
    gallery = prompt_gallery(CALL, ["a boat", "a tree"], by=1, judge=False)
    subjects = [Subject("ours", NOISE, added=1), Subject("float", NOISE)]
    ours, exact = drive(view(subjects, gallery), lambda doing: None)
    assert [one.prompt for one in ours.pictures] == ["a boat", "a tree"]
    assert ours.pictures[0].psnr_db < 50 < exact.pictures[0].psnr_db


def test_without_such_a_subject_it_says_what_to_add():
    with pytest.raises(BadRequest, match="--baseline diffusers:fp32"):
        prompt_gallery(CALL, ["a boat"], by=None, judge=False)


def test_one_that_fails_has_no_quality_and_the_others_have():
    gallery = prompt_gallery(CALL, ["a boat"], by=1, judge=False)
    subjects = [Subject("ours", NOISE, fails=True), Subject("float", NOISE)]
    ours, exact = drive(view(subjects, gallery), lambda doing: None)
    assert ours is None
    assert exact is not None
