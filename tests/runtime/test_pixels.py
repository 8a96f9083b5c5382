"""Numbers to pictures, as Diffusers rounds; pictures compared and written."""

import json

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from aquatint.runtime.errors import BadRequest, OutputFailed
from aquatint.runtime.pixels import TEXT_KEY, psnr_db, read_settings, save_array, save_png, to_image, to_sample


def gray(level, size=(8, 8)):
    return Image.new("RGB", size, (level, level, level))


def diffusers_pixels(sample):
    """VaeImageProcessor's denormalize, pt_to_numpy and numpy_to_pil, in their order."""
    unit = np.clip(sample * np.float32(0.5) + np.float32(0.5), 0, 1)
    return (unit.transpose(1, 2, 0) * 255).round().astype("uint8")


def test_a_sample_is_rounded_as_diffusers_rounds():
    sample = np.random.default_rng(0).uniform(-1.3, 1.3, (3, 64, 48)).astype(np.float32)
    assert np.array_equal(np.asarray(to_image(sample)), diffusers_pixels(sample))


def test_halves_between_two_levels_round_as_diffusers_rounds():
    halves = (np.arange(255, dtype=np.float32) + np.float32(0.5)) / np.float32(127.5) - np.float32(1)
    sample = np.broadcast_to(halves, (3, 2, 255))
    assert np.array_equal(np.asarray(to_image(sample)), diffusers_pixels(sample))


def test_values_outside_are_cut_and_channels_are_red_green_blue():
    sample = np.array([[[-5.0]], [[0.0]], [[5.0]]], np.float32)
    assert to_image(sample).getpixel((0, 0)) == (0, 128, 255)  # 127.5 rounds to even


def test_height_comes_before_width():
    assert to_image(np.zeros((3, 16, 24), np.float32)).size == (24, 16)


def test_a_picture_becomes_a_sample_and_the_same_picture_again():
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    sample = to_sample(Image.fromarray(levels))
    assert sample.dtype == np.float32
    assert (sample.min(), sample.max()) == (-1, 1)
    assert np.array_equal(np.asarray(to_image(sample)), levels)


def test_equal_pictures_have_100_db():
    assert psnr_db(gray(7), gray(7)) == 100.0


@pytest.mark.parametrize("difference", [1, 5, 255])
def test_psnr_of_a_constant_difference_has_a_closed_form(difference):
    assert psnr_db(gray(0), gray(difference)) == pytest.approx(20 * np.log10(255 / difference), abs=1e-9)


def test_psnr_is_of_the_mean_square_over_all_pixels():
    dotted = gray(0, (10, 10))
    dotted.putpixel((3, 4), (30, 0, 0))
    # One of 300 values is off by 30: the mean square is 3.
    assert psnr_db(dotted, gray(0, (10, 10))) == pytest.approx(10 * np.log10(255**2 / 3), abs=1e-9)


def test_pictures_of_two_sizes_have_no_psnr():
    with pytest.raises(ValueError, match="differ in size"):
        psnr_db(gray(0, (8, 8)), gray(0, (8, 16)))


def test_a_png_carries_its_settings_and_nothing_else_is_left(tmp_path):
    settings = {"prompt": "ein \U0001f3a8 Bild", "seed": 3, "negative_prompt": None}
    save_png(gray(9), tmp_path / "out.png", settings)
    with Image.open(tmp_path / "out.png") as found:
        assert json.loads(found.text[TEXT_KEY]) == settings
        assert found.getpixel((0, 0)) == (9, 9, 9)
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]


def test_a_png_is_written_under_any_suffix(tmp_path):
    save_png(gray(9), tmp_path / "out", {})
    with Image.open(tmp_path / "out") as found:
        assert found.format == "PNG"


def test_a_failed_write_keeps_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "out.png").write_text("old")

    def fail(self, file, **options):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OutputFailed, match=r"can't write .*out\.png: No space left on device"):
        save_png(gray(9), tmp_path / "out.png", {})
    assert (tmp_path / "out.png").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]


def test_a_missing_folder_is_an_output_that_failed(tmp_path):
    with pytest.raises(OutputFailed, match=r"out\.png: No such file or directory"):
        save_png(gray(9), tmp_path / "missing" / "out.png", {})


def test_a_folder_in_the_way_is_an_output_that_failed(tmp_path):
    (tmp_path / "out.png").mkdir()
    with pytest.raises(OutputFailed, match="Is a directory"):
        save_png(gray(9), tmp_path / "out.png", {})
    assert [file.name for file in tmp_path.iterdir()] == ["out.png"]


def test_a_write_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(self, file, **options):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_png(gray(9), tmp_path / "out.png", {})
    assert list(tmp_path.iterdir()) == []


def test_an_array_is_written_whole_under_its_own_name(tmp_path):
    latents = np.random.default_rng(0).standard_normal((2, 4, 8, 8)).astype(np.float32)
    save_array(latents, tmp_path / "base.npy")
    assert np.array_equal(np.load(tmp_path / "base.npy"), latents)
    assert [file.name for file in tmp_path.iterdir()] == ["base.npy"]
    with pytest.raises(OutputFailed, match=r"base\.npy: No such file or directory"):
        save_array(latents, tmp_path / "missing" / "base.npy")


def test_settings_are_read_as_they_were_written(tmp_path):
    settings = {"prompt": "ein \U0001f3a8 Bild", "seed": 2**64 - 1, "scale": 0.1, "size": [1, 2], "none": None}
    save_png(gray(9), tmp_path / "out.png", settings)
    assert read_settings(tmp_path / "out.png") == settings


def png(path, text=None):
    info = PngInfo()
    if text is not None:
        info.add_itxt(TEXT_KEY, text, zip=len(text) > 1 << 20)
    gray(9).save(path, format="PNG", pnginfo=info)


def truncated(path):
    png(path, "{}")
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda path: None, "No such file"),
        (lambda path: path.write_text("text"), "it is no PNG"),
        (lambda path: gray(9).save(path, format="JPEG"), "it is no PNG"),
        (truncated, "can't read"),
        (png, "does not say how it was made"),
        (lambda path: png(path, "{half"), "it is no JSON"),
        (lambda path: png(path, "[" * 100_000), "it is no JSON"),
        (lambda path: png(path, " " * (2 << 20)), "can't read"),  # 2 kB that would unpack to 2 MB
    ],
)
def test_a_file_without_settings_is_one_line(tmp_path, make, words):
    make(tmp_path / "out.png")
    with pytest.raises(BadRequest, match=words) as refused:
        read_settings(tmp_path / "out.png")
    assert "out.png" in str(refused.value)
    assert "\n" not in str(refused.value)
