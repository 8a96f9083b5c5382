"""Golden images printed again: measured in three ways, and each bound held."""

from dataclasses import replace

import pytest
from PIL import Image

from aquatint.runtime.bundle import open_bundle
from aquatint.runtime.errors import QualityMissed
from aquatint.runtime.goldens import print_goldens
from aquatint.runtime.likeness import latent_distance, ssim
from aquatint.runtime.session import EngineOptions


@pytest.fixture
def bundle(workshop):
    """Opened to keep one component at a time, so that printing and encoding take turns."""
    opened = open_bundle(workshop.bundle("tiny-sd", "ort:cpu"), options=EngineOptions(residency="one"))
    yield opened
    opened.close()


def asking(bundle, **bounds):
    bundle.manifest = replace(bundle.manifest, verification=replace(bundle.manifest.verification, **bounds))
    return bundle


def without(bundle, *names):
    parts = tuple(part for part in bundle.manifest.components if part.name not in names)
    bundle.manifest = replace(bundle.manifest, components=parts)
    return bundle


@pytest.fixture
def other(bundle, tmp_path):
    """The bundle, whose reference has become another picture."""
    golden = bundle.manifest.verification.goldens[0]
    with Image.open(bundle.folder / golden.image) as picture:
        picture.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "other.png")
    return asking(bundle, min_psnr_db=0.0, goldens=(replace(golden, image=str(tmp_path / "other.png")),))


def test_a_good_bundle_reaches_all_three(bundle):
    (golden,) = print_goldens(asking(bundle, min_ssim=0.999, max_latent_distance=0.001))
    assert golden.psnr_db >= 50
    assert (golden.ssim, golden.latent_distance) == (pytest.approx(1, abs=1e-3), pytest.approx(0, abs=1e-3))


def test_the_figures_are_of_the_printed_picture_against_the_reference(other):
    (golden,) = print_goldens(other)
    with Image.open(golden.image) as reference:
        printed = reference.transpose(Image.Transpose.ROTATE_270)

        def encode(sample):
            return other.session("vae_encoder").run({"sample": sample})["latent_parameters"]

        # What is printed differs from the unturned reference by a grey level at most.
        assert golden.ssim == pytest.approx(ssim(printed, reference), abs=2e-3)
        assert golden.latent_distance == pytest.approx(latent_distance(printed, reference, encode), abs=2e-3)
    assert golden.ssim < 0.9
    assert golden.latent_distance > 0.01


@pytest.mark.parametrize(
    "bounds, message",
    [
        ({"min_psnr_db": 60.0}, r"\d dB on ort:cpu against the reference, the budget is 60\.0 dB"),
        ({"min_ssim": 0.95}, r"SSIM 0\.\d+ on ort:cpu against the reference, the budget is 0\.95 or more"),
        ({"max_latent_distance": 0.002}, r"latent distance \d\.\d+ on ort:cpu .*, the budget is 0\.002 or less"),
    ],
)
def test_each_bound_fails_by_its_name(other, bounds, message):
    with pytest.raises(QualityMissed, match=message):
        print_goldens(asking(other, **bounds))


def test_a_bundle_without_an_encoder_has_no_latent_distance_and_keeps_to_no_bound_of_it(bundle):
    (golden,) = print_goldens(without(bundle, "vae_encoder"))
    assert golden.latent_distance is None
    assert golden.ssim > 0.99
    with pytest.raises(QualityMissed, match="latent distance not measured"):
        print_goldens(asking(bundle, max_latent_distance=1.0))
