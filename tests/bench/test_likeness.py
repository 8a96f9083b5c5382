"""Our pictures beside Diffusers': pairs of the same call, and how well they agree."""

import json
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from aquatint.bench.likeness import PROMPTS, compare, drawn_mask, drawn_start, main
from aquatint.runtime.bundle import open_bundle
from aquatint.runtime.errors import BadModel


@pytest.fixture(scope="module")
def pairs(workshop):
    pytest.importorskip("diffusers")
    bundle = open_bundle(workshop.bundle("tiny-sd", "ort:cpu"))
    return compare(bundle, workshop.checkpoint("tiny-sd"), PROMPTS, seed=3, steps=4, size=(64, 64))


def test_each_task_of_a_model_agrees_with_diffusers(pairs):
    assert [pair.task for pair in pairs] == ["text to image", "image to image", "inpainting"]
    for pair in pairs:
        # The profile's own budget for golden images, in float32 throughout.
        assert pair.psnr_db >= 50


def test_the_tasks_go_on_from_diffusers_own_picture(pairs):
    text, image, inpainting = pairs
    assert (text.start, text.mask, image.mask) == (None, None, None)
    assert image.start is text.theirs
    assert inpainting.start is text.theirs
    assert np.asarray(inpainting.mask).mean() == 127.5  # the right half


def test_the_tasks_give_different_pictures(pairs):
    levels = [np.asarray(pair.ours, np.float32) for pair in pairs]
    assert min(np.abs(a - b).mean() for a, b in pairwise(levels)) > 0.5


def test_what_is_drawn_has_height_before_width():
    assert drawn_mask((32, 48)).size == drawn_start((32, 48)).size == (48, 32)
    assert drawn_mask((32, 48)).getpixel((23, 5)) == 0
    assert drawn_mask((32, 48)).getpixel((24, 5)) == 255


def test_a_folder_that_is_no_checkpoint_is_refused(workshop, tmp_path):
    bundle = open_bundle(workshop.bundle("tiny-sd", "ort:cpu"))
    with pytest.raises(BadModel, match="it has no model_index"):
        compare(bundle, tmp_path, PROMPTS, seed=0, steps=1, size=(64, 64))


def test_the_command_writes_a_sheet_and_says_what_it_measured(workshop, tmp_path):
    folders = (workshop.bundle("tiny-sd-inpaint", "ort:cpu"), workshop.checkpoint("tiny-sd-inpaint"))
    words = [*folders, "-o", tmp_path / "sheet.png", "--steps", 2, "--prompt", "a boat", "--json"]
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert [(row["task"], row["prompt"]) for row in said["pairs"]] == [("inpainting", "a boat")]
    assert said["pairs"][0]["psnr_db"] >= 50
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 3 * 224
