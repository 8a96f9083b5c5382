"""A bundle in the making: its golden images."""

import numpy as np
import pytest
from PIL import Image

from aquatint.compile.assemble import Staging
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.plan import make_plan
from aquatint.compile.start_picture import start_picture
from aquatint.runtime.manifest import read_manifest

pytest.importorskip("diffusers")


class Printed:
    """A source whose golden images are there already."""

    def __init__(self, folder):
        self.sha256 = {}
        self._folder = folder

    def golden(self, index):
        path = self._folder / f"{index}.png"
        Image.new("RGB", (64, 64), (index, 0, 0)).save(path)
        return path


@pytest.fixture
def manifest_of(workshop, exact, tmp_path):
    """The manifest of a bundle without components, read back, and the folder that it lies in."""

    def finish(name):
        found = find_checkpoint(
            str(workshop.checkpoint(name)), revision=None, variant=None, config=None, work=workshop.cache
        )
        plan = make_plan(found, "ort:cpu", exact, output=tmp_path / "bundle", prompts=("a boat", "a hat"))
        with Staging(plan) as staging:
            staging.finish(Printed(tmp_path))
            return read_manifest(staging.folder), staging.publish()

    return finish


def test_where_a_golden_image_goes_on_from_a_picture_that_one_is_in_the_bundle(manifest_of):
    manifest, folder = manifest_of("tiny-sdxl-refiner")
    goldens = manifest.verification.goldens
    assert [(golden.start, golden.strength) for golden in goldens] == [
        ("golden/0-start.png", 0.5), ("golden/1-start.png", 0.5),
    ]  # fmt: skip
    for golden in goldens:
        assert golden.start in manifest.files
        with Image.open(folder / golden.start) as start:
            assert np.array_equal(np.asarray(start), np.asarray(start_picture(64, 64)))


def test_where_it_starts_from_noise_there_is_none(manifest_of):
    manifest, folder = manifest_of("tiny-sd")
    assert [(golden.start, golden.strength) for golden in manifest.verification.goldens] == [(None, None)] * 2
    assert sorted(file.name for file in (folder / "golden").iterdir()) == ["0.png", "1.png"]
