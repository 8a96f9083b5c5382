"""What a caller gives as pictures and masks, against Diffusers' VaeImageProcessor."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils import load_image
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from aquatint.runtime.checks import LIMIT
from aquatint.runtime.errors import BadRequest
from aquatint.runtime.image_processor import crop_region, image_samples, mask_samples, overlay, shrink_mask
from aquatint.runtime.pictures import as_masks, as_pictures, read_picture, usual_size

IMAGES = VaeImageProcessor(vae_scale_factor=8)
MASKS = VaeImageProcessor(vae_scale_factor=8, do_normalize=False, do_binarize=True, do_convert_grayscale=True)
MODES = ["RGB", "RGBA", "L", "LA", "P", "P transparent", "PA", "1", "CMYK", "YCbCr", "HSV", "RGBX", "RGBa"]
SIZES = [(64, 64), (1, 1), (3, 2000), (2000, 3), (77, 131), (640, 33)]  # width, height
ORIENTATION = 0x0112
equal = np.testing.assert_array_equal


def levels(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).integers(0, 256, shape, dtype=np.uint8)


def picture(mode="RGB", size=(77, 131), seed=0):
    """Noise in a mode of Pillow's."""
    kind, _, transparent = mode.partition(" ")
    rgba = Image.fromarray(levels(size[1], size[0], 4, seed=seed))
    if kind in ("LA", "RGBa"):
        return rgba.convert(kind)
    if kind == "PA":
        return rgba.convert("P").convert("PA")
    image = rgba.convert("RGB").convert(kind) if kind != "RGBA" else rgba
    if transparent:
        image.info["transparency"] = bytes(range(256))
    return image


def blob(size, box, mode="L", value=255):
    """A mask that is white in a box and black elsewhere."""
    mask = Image.new("L", size)
    mask.paste(value, box)
    return mask.convert(mode)


def floats(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).random(shape, dtype=np.float32)


# ---- pictures


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MODES)
def test_a_picture_of_any_mode_and_size_gives_diffusers_samples(mode, size):
    image = picture(mode, size)
    samples = image_samples(as_pictures(image, "image"), 64, 96)
    wanted = IMAGES.preprocess(load_image(image), height=64, width=96)
    assert samples.dtype == np.float32
    assert samples.shape == (1, 3, 64, 96)
    equal(samples, wanted.numpy())


@pytest.mark.parametrize("size", [(64, 64), (77, 131), (9, 2000), (15, 8)])
def test_the_usual_size_is_the_one_diffusers_img2img_takes(size):
    images = [picture(size=size, seed=seed) for seed in range(2)]
    pictures = as_pictures(images, "image")
    height, width = usual_size(pictures, 8)
    assert (height, width) == IMAGES.get_default_height_width(images[0])
    equal(image_samples(pictures, height, width), IMAGES.preprocess(images).numpy())


def test_a_picture_smaller_than_a_latent_has_a_usual_size_of_zero():
    assert usual_size(as_pictures(picture(size=(7, 20)), "image"), 8) == (16, 0)
    assert usual_size(as_pictures(floats(20, 7, 3), "image"), 8) == (16, 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_exif_says(orientation):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = io.BytesIO()
    picture(size=(48, 24)).save(file, "JPEG", exif=exif)
    image = Image.open(file)
    [turned] = as_pictures(image, "image")
    wanted = load_image(image)
    assert turned.size == wanted.size == ((48, 24) if orientation <= 4 else (24, 48))
    equal(np.asarray(turned), np.asarray(wanted))
    [mask] = as_masks(image, "mask_image")
    equal(np.asarray(mask), np.asarray(wanted))


@pytest.mark.parametrize("shape", [(64, 96, 3), (131, 77, 3), (2, 37, 90, 3), (1, 1, 1, 3), (2000, 3, 3)])
def test_an_array_is_resized_by_nearest_pixels_as_diffusers_does(shape):
    array = floats(*shape)
    samples = image_samples(as_pictures(array, "image"), 64, 96)
    assert samples.dtype == np.float32
    equal(samples, IMAGES.preprocess(array, height=64, width=96).numpy())


def test_a_list_of_arrays_is_a_batch():
    arrays = [floats(70, 50, 3, seed=seed) for seed in range(3)]
    equal(image_samples(as_pictures(arrays, "image"), 64, 48), IMAGES.preprocess(arrays, 64, 48).numpy())


def test_a_double_array_differs_from_diffusers_only_by_its_rounding():
    array = np.random.default_rng(0).random((1, 64, 64, 3))
    samples = image_samples(as_pictures(array, "image"), 64, 64)
    assert samples.dtype == np.float32
    # Half a step of float32 under 1 is 3e-8; doubled by 2x - 1, and once more for the result's own.
    np.testing.assert_allclose(samples, IMAGES.preprocess(array).float().numpy(), rtol=0, atol=1.2e-7)


def test_bytes_count_as_a_picture():
    array = levels(2, 70, 50, 3)
    wanted = IMAGES.preprocess([Image.fromarray(one) for one in array], height=64, width=96)
    equal(image_samples(as_pictures(array, "image"), 64, 96), wanted.numpy())
    equal(image_samples(as_pictures(list(array), "image"), 64, 96), wanted.numpy())
    equal(image_samples(as_pictures([array[0], Image.fromarray(array[1])], "image"), 64, 96), wanted.numpy())


@settings(max_examples=60, deadline=None)
@given(found=st.integers(1, 3000), wanted=st.integers(1, 3000))
def test_nearest_pixels_are_torchs_for_every_ratio(found, wanted):
    x = np.arange(found, dtype=np.float32).reshape(1, 1, found, 1)
    torchs = torch.nn.functional.interpolate(torch.from_numpy(x), size=(wanted, 2))
    equal(shrink_mask(x, wanted, 2), torchs.numpy())


# In exact numbers the 22nd of 44 pixels comes from the 13th of 26; in float32 the product falls just under 13.
@pytest.mark.parametrize("found, wanted", [(26, 44), (14, 46), (39, 66), (21, 69), (12, 74)])
def test_nearest_pixels_follow_float32_where_exact_division_would_not(found, wanted):
    x = np.arange(found, dtype=np.float32).reshape(1, 1, 1, found)
    nearest = shrink_mask(x, 1, wanted)
    assert nearest.ravel().tolist() != [k * found // wanted for k in range(wanted)]
    equal(nearest, torch.nn.functional.interpolate(torch.from_numpy(x), size=(1, wanted)).numpy())


# ---- masks


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MODES)
def test_a_mask_of_any_mode_and_size_gives_diffusers_samples(mode, size):
    mask = picture(mode, size)
    samples = mask_samples(as_masks(mask, "mask_image"), 64, 96)
    assert samples.dtype == np.float32
    assert samples.shape == (1, 1, 64, 96)
    equal(samples, MASKS.preprocess(mask, height=64, width=96).numpy())


def test_a_mask_is_cut_between_127_and_128():
    mask = Image.fromarray(np.array([[127, 128]], np.uint8))
    equal(mask_samples(as_masks(mask, "mask_image"), 1, 2), [[[[0, 1]]]])


@pytest.mark.parametrize("shape", [(70, 50), (70, 50, 1), (3, 70, 50), (3, 70, 50, 1)])
def test_a_mask_array_of_any_shape_gives_diffusers_samples(shape):
    array = floats(*shape)
    array.ravel()[:9] = 0.5
    samples = mask_samples(as_masks(array, "mask_image"), 64, 96)
    assert samples.dtype == np.float32
    assert samples.shape == (3 if shape[0] == 3 else 1, 1, 64, 96)
    equal(samples, MASKS.preprocess(array, height=64, width=96).numpy())


def test_a_list_of_masks_is_a_batch():
    masks = [picture("L", seed=seed) for seed in range(3)]
    equal(mask_samples(as_masks(masks, "m"), 64, 48), MASKS.preprocess(masks, 64, 48).numpy())
    arrays = [floats(70, 50, seed=seed) for seed in range(3)]
    equal(mask_samples(as_masks(arrays, "m"), 64, 48), MASKS.preprocess(arrays, 64, 48).numpy())


def test_a_mask_of_bool_is_one_of_zeros_and_ones():
    array = floats(2, 70, 50) > 0.3
    equal(mask_samples(as_masks(array, "m"), 64, 48), MASKS.preprocess(array.astype(np.float32), 64, 48).numpy())


def test_a_mask_of_bytes_counts_as_a_picture():
    array = levels(70, 50)
    wanted = MASKS.preprocess(Image.fromarray(array), height=64, width=96)
    equal(mask_samples(as_masks(array, "mask_image"), 64, 96), wanted.numpy())
    equal(mask_samples(as_masks(array[None, :, :, None], "mask_image"), 64, 96), wanted.numpy())


def test_a_mask_of_bytes_up_to_one_is_refused_and_not_taken_for_black():
    array = np.zeros((8, 8), np.uint8)
    assert not mask_samples(as_masks(array, "mask_image"), 8, 8).any()
    array[2] = 1
    with pytest.raises(BadRequest, match="mask_image is uint8 with values of 0 and 1, and white is 255"):
        as_masks(array, "mask_image")


@pytest.mark.parametrize("size", [(8, 12), (7, 9), (64, 96), (1, 1), (13, 100)])
def test_a_mask_shrinks_to_latents_as_torch_interpolates(size):
    samples = (floats(2, 1, 64, 96) > 0.5).astype(np.float32)
    wanted = torch.nn.functional.interpolate(torch.from_numpy(samples), size=size)
    equal(shrink_mask(samples, *size), wanted.numpy())


# ---- crops and overlays


@st.composite
def regions(draw):
    """A mask with a rectangle, what it is processed at, and a padding."""
    width, height = draw(st.integers(1, 300)), draw(st.integers(1, 300))
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    mask = blob((width, height), (left, top, right, bottom), value=draw(st.sampled_from([1, 127, 255])))
    size = st.sampled_from([8, 64, 72, 96, 512, 520, 1000])
    return mask, draw(size), draw(size), draw(st.integers(0, 100))


@settings(max_examples=300, deadline=None)
@given(regions())
def test_a_crop_region_is_the_one_diffusers_finds(region):
    mask, width, height, padding = region
    crop = crop_region(mask, width, height, padding)
    assert crop == VaeImageProcessor.get_crop_region(mask, width, height, pad=padding)
    assert all(type(side) is int for side in crop)
    left, top, right, bottom = crop
    assert 0 <= left < right <= mask.width
    assert 0 <= top < bottom <= mask.height


@pytest.mark.parametrize("mode", MODES)
def test_a_crop_region_of_any_mode_is_the_one_diffusers_finds(mode):
    mask = picture(mode, (40, 30))
    assert crop_region(mask, 64, 96, 3) == VaeImageProcessor.get_crop_region(mask, 64, 96, 3)


def test_a_black_mask_has_no_crop_region():
    with pytest.raises(BadRequest, match="black all over"):
        crop_region(Image.new("L", (30, 20)), 64, 64, 5)


def test_a_negative_padding_is_refused():
    with pytest.raises(BadRequest, match="padding around a mask's crop is -1; it must be 0 or more"):
        crop_region(blob((30, 20), (3, 3, 9, 9)), 64, 64, -1)


CROPS = [(10, 20, 50, 60), (0, 0, 77, 131), (3, 5, 70, 12), (3, 5, 12, 120), (76, 130, 77, 131), (11, 7, 40, 52)]
NEARLY_SQUARE = [(3, 5, 67, 67), (3, 5, 65, 69), (3, 5, 67, 68), (3, 5, 66, 69)]  # one or two lines are filled


@pytest.mark.parametrize("size", [(64, 96), (96, 64), (64, 64)])
@pytest.mark.parametrize("crop", CROPS + NEARLY_SQUARE)
def test_a_crop_is_scaled_and_filled_as_diffusers_fills(crop, size):
    image, (height, width) = picture(), size
    samples = image_samples(as_pictures(image, "image"), height, width, crop)
    equal(samples, IMAGES.preprocess(image, height, width, resize_mode="fill", crops_coords=crop).numpy())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("crop", CROPS)
def test_a_masks_crop_is_filled_in_its_own_mode(crop, mode):
    mask = picture(mode)
    samples = mask_samples(as_masks(mask, "mask_image"), 64, 96, crop)
    equal(samples, MASKS.preprocess(mask, 64, 96, resize_mode="fill", crops_coords=crop).numpy())


@settings(max_examples=60, deadline=None)
@given(regions())
def test_whatever_the_crop_its_samples_are_diffusers(region):
    mask, width, height, padding = region
    crop = crop_region(mask, width, height, padding)
    image = picture(size=mask.size)
    try:
        wanted = IMAGES.preprocess(image, height, width, resize_mode="fill", crops_coords=crop)
    except ValueError:  # a side that Diffusers scales to 0
        assert image_samples([image], height, width, crop).shape == (1, 3, height, width)
    else:
        equal(image_samples([image], height, width, crop), wanted.numpy())


def test_a_crop_too_thin_for_diffusers_keeps_one_pixel():
    image = Image.new("RGB", (2000, 1), (255, 0, 0))
    samples = image_samples([image], 64, 64, (0, 0, 2000, 1))
    equal(samples, np.broadcast_to(np.array([1, -1, -1], np.float32).reshape(1, 3, 1, 1), (1, 3, 64, 64)))


def test_a_crop_of_float_arrays_is_refused():
    with pytest.raises(BadRequest, match="needs pictures and masks as PIL or uint8"):
        image_samples(floats(1, 64, 64, 3), 64, 64, (0, 0, 8, 8))
    with pytest.raises(BadRequest, match="needs pictures and masks as PIL or uint8"):
        mask_samples(floats(1, 64, 64, 1), 64, 64, (0, 0, 8, 8))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("crop", CROPS)
def test_an_overlay_is_diffusers_for_masks_of_any_mode(crop, mode):
    mask, original, printed = picture(mode), picture(seed=1), picture(size=(96, 64), seed=2)
    found = overlay(printed, mask, original, crop)
    assert found.mode == "RGB"
    equal(np.asarray(found), np.asarray(IMAGES.apply_overlay(mask, original, printed, crop)))


@settings(max_examples=60, deadline=None)
@given(regions())
def test_an_overlay_is_diffusers_wherever_the_mask_is(region):
    mask, width, height, padding = region
    crop = crop_region(mask, width, height, padding)
    original, printed = picture(size=mask.size), picture(size=(width, height), seed=1)
    found = overlay(printed, mask, original, crop)
    equal(np.asarray(found), np.asarray(IMAGES.apply_overlay(mask, original, printed, crop)))


def test_an_overlay_keeps_the_original_where_the_mask_is_black():
    box = (10, 20, 40, 70)
    original = picture()
    found = overlay(picture(size=(64, 64), seed=1), blob(original.size, box), original, (5, 5, 60, 100))
    outside = np.asarray(blob(original.size, box)) == 0
    equal(np.asarray(found)[outside], np.asarray(original)[outside])
    assert (np.asarray(found)[~outside] != np.asarray(original)[~outside]).mean() > 0.9


@pytest.mark.parametrize("mode", MODES)
def test_an_overlay_takes_an_original_of_any_mode(mode):
    mask, original, printed = picture("L"), picture(mode, seed=1), picture(size=(96, 64), seed=2)
    found = overlay(printed, mask, original, CROPS[0])
    equal(np.asarray(found), np.asarray(IMAGES.apply_overlay(mask, original, printed, CROPS[0])))


def test_a_mask_of_another_size_can_not_be_overlaid():
    with pytest.raises(BadRequest, match=r"mask and picture are 20x30 and 131x77 \(height x width\)"):
        overlay(picture(), blob((30, 20), (1, 1, 5, 5)), picture(), (0, 0, 8, 8))


# ---- what is refused

NOT_PICTURES = [None, "cat.png", 7, torch.zeros(1, 3, 8, 8), [None], [[picture()]], b"png", {"image": picture()}]


@pytest.mark.parametrize("value", NOT_PICTURES)
def test_what_is_no_picture_is_refused(value):
    with pytest.raises(BadRequest, match=r"^image is of type .*, no picture; give PIL, or an array"):
        as_pictures(value, "image")
    with pytest.raises(BadRequest, match=r"^mask_image is of type .*, no mask; give PIL, or an array"):
        as_masks(value, "mask_image")


@pytest.mark.parametrize("value", [[], (), np.zeros((0, 8, 8, 3)), np.zeros((0, 8, 8, 3), np.uint8)])
def test_an_empty_list_is_refused(value):
    with pytest.raises(BadRequest, match=r"^image is empty"):
        as_pictures(value, "image")
    with pytest.raises(BadRequest, match=r"^mask is empty"):
        as_masks(value if isinstance(value, list | tuple) else value[..., 0], "mask")


@pytest.mark.parametrize("convert", [as_pictures, as_masks])
def test_a_batch_of_two_sizes_is_refused(convert):
    with pytest.raises(BadRequest, match=r"it has sizes 16x8, 16x9 \(height x width\); a batch is of one size"):
        convert([picture("L", (9, 16)), picture("L", (8, 16))], "it")


def test_arrays_of_two_sizes_are_refused():
    with pytest.raises(BadRequest, match="image has sizes 9x8, 8x9"):
        as_pictures([floats(9, 8, 3), floats(8, 9, 3)], "image")


@pytest.mark.parametrize("other", [picture(size=(8, 8)), levels(8, 8, 3)])
def test_float_arrays_beside_pictures_are_refused(other):
    with pytest.raises(BadRequest, match="image has both PIL"):
        as_pictures([floats(8, 8, 3), other], "image")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -1e-6, 1.001, 255.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_outside_zero_to_one_are_refused(wrong, dtype):
    array = np.full((8, 8, 3), 0.5, dtype)
    array[3, 4, 1] = wrong
    with pytest.raises(BadRequest, match=r"image has values from .*; they must lie in \[0, 1\]"):
        as_pictures(array, "image")
    with pytest.raises(BadRequest, match=r"mask has values from .*; they must lie in \[0, 1\]"):
        as_masks(array[..., 1], "mask")


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (8, 8, 4), (3, 8, 8), (1, 3, 8, 8), (1, 1, 8, 8, 3), (3,), ()])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_arrays_of_other_shapes_than_pictures_are_refused(shape, dtype):
    with pytest.raises(BadRequest, match=r"image is .* of shape .*; it must be \(h, w, 3\) or \(n, h, w, 3\)"):
        as_pictures(np.zeros(shape, dtype), "image")


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (1, 1, 8, 8, 1), (3,), ()])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_arrays_of_other_shapes_than_masks_are_refused(shape, dtype):
    with pytest.raises(BadRequest, match=r"mask is .* of shape .*; it must be \(h, w\), \(n, h, w\)"):
        as_masks(np.zeros(shape, dtype), "mask")


@pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.complex64, object])
def test_arrays_of_other_numbers_are_refused(dtype):
    with pytest.raises(BadRequest, match=r"image is .*; a picture is of floats in \[0, 1\] or uint8"):
        as_pictures(np.zeros((8, 8, 3), dtype), "image")
    with pytest.raises(BadRequest, match=r"mask is .*; a mask is of floats"):
        as_masks(np.zeros((8, 8), dtype), "mask")


def test_a_picture_of_bool_is_refused():
    with pytest.raises(BadRequest, match="image is bool of shape"):
        as_pictures(np.zeros((8, 8, 3), bool), "image")


@pytest.mark.parametrize("size", [(0, 8), (8, 0), (LIMIT + 1, 1), (1, LIMIT + 1)])
def test_sides_of_zero_and_absurd_ones_are_refused(size):
    given = [Image.new("RGB", size), np.zeros((size[1], size[0], 3)), np.zeros((size[1], size[0], 3), np.uint8)]
    for value in given:
        with pytest.raises(BadRequest, match=f"image is {size[1]}x{size[0]} .*; sides must be from 1 to 65536"):
            as_pictures(value, "image")
        one_channel = value.convert("L") if isinstance(value, Image.Image) else value[..., 0]
        with pytest.raises(BadRequest, match=f"mask is {size[1]}x{size[0]} .*; sides must be from 1 to 65536"):
            as_masks(one_channel, "mask")


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I", "F"])
def test_pictures_of_more_than_8_bits_are_refused_for_pillow_would_cut_them(mode):
    deep = Image.new(mode, (8, 8))
    for convert in (as_pictures, as_masks):
        with pytest.raises(BadRequest, match=f'it is PIL of mode "{mode}", which Pillow would cut at 255'):
            convert(deep, "it")


@pytest.mark.parametrize("mode", ["LAB", "La"])
def test_modes_that_pillow_can_not_convert_are_refused(mode):
    with pytest.raises(BadRequest, match="it can't be read: conversion from"):
        as_masks(Image.new(mode, (8, 8)), "it")


def test_a_picture_that_was_opened_from_a_truncated_file_is_refused(tmp_path):
    path = tmp_path / "cut.png"
    picture().save(path)
    path.write_bytes(path.read_bytes()[:-2000])
    with Image.open(path) as image, pytest.raises(BadRequest, match=r"image can't be read: .*truncated"):
        as_pictures(image, "image")


# ---- files


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.gif", "a.tiff", "no suffix.png"])
def test_a_file_of_any_format_is_read(tmp_path, name):
    picture().save(tmp_path / name)
    with Image.open(tmp_path / name) as wanted:
        found = read_picture(tmp_path / name)
        assert found.mode == wanted.mode
        equal(np.asarray(found), np.asarray(wanted))


def test_a_file_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    picture(size=(48, 24)).save(tmp_path / "a.jpg", exif=exif)
    found = read_picture(tmp_path / "a.jpg")
    equal(np.asarray(found), np.asarray(load_image(str(tmp_path / "a.jpg"))))
    # Turned once: what comes of it says nothing more of turning.
    assert as_pictures(found, "image")[0].size == found.size == (24, 48)


def test_a_missing_file_is_told_in_one_line(tmp_path):
    with pytest.raises(BadRequest, match=r"^can't read .*missing\.png: No such file or directory$"):
        read_picture(tmp_path / "missing.png")


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(BadRequest, match=f"^can't read {tmp_path}: Is a directory$"):
        read_picture(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_a_file_of_something_else_is_no_picture(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BadRequest, match=r"^can't read .*a\.png: ") as error:
        read_picture(tmp_path / "a.png")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "gif", "tiff", "bmp"])
def test_a_file_cut_anywhere_is_refused_or_read_but_never_a_crash(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    picture(size=(40, 30)).save(path)
    whole, told = path.read_bytes(), []
    for kept in np.linspace(0, len(whole) - 20, 40).astype(int):
        path.write_bytes(whole[:kept])
        try:
            read_picture(path)
        except BadRequest as error:
            told.append(str(error))
    assert len(told) > 30
    assert all(text.startswith(f"can't read {path}: ") and "\n" not in text for text in told)


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9999))) + chunk(b"IEND", b"")
    )
    with pytest.raises(BadRequest, match=r"^can't read .*bomb\.png: Image size \(3600000000 pixels\) exceeds limit"):
        read_picture(tmp_path / "bomb.png")
