"""Pictures compared: SSIM against scikit-image's, and the distance that a VAE's encoder sees."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from aquatint.runtime.errors import NonFinite
from aquatint.runtime.likeness import SSIM_SIDE, latent_distance, ssim


def drawn(height=64, width=48, seed=0):
    """Soft colours with an edge and a little grain."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / np.array([height, width]).reshape(2, 1, 1)
    planes = np.stack([x, np.where(x + y > 0.9, 0.8, y), 1 - x * y], axis=-1) * 220 + rng.normal(
        0, 4, (height, width, 3)
    )
    return Image.fromarray(np.clip(planes, 0, 255).astype(np.uint8))


def noisy(image, deviation, seed=1):
    noise = np.random.default_rng(seed).normal(0, deviation, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).round().astype(np.uint8))


def brighter(image, levels):
    return Image.fromarray(np.clip(np.asarray(image, np.int16) + levels, 0, 255).astype(np.uint8))


def moved(image, pixels):
    return Image.fromarray(np.roll(np.asarray(image), pixels, axis=1))


@pytest.mark.parametrize("size", [(11, 11), (64, 48), (96, 128)])
@pytest.mark.parametrize("change", [lambda p: noisy(p, 20), lambda p: brighter(p, 30), lambda p: moved(p, 3)])
def test_ssim_is_that_of_scikit_image(size, change):
    metrics = pytest.importorskip("skimage.metrics")
    reference = drawn(*size)
    image = change(reference)
    expected = metrics.structural_similarity(
        np.asarray(image), np.asarray(reference), gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        channel_axis=2, data_range=255,
    )  # fmt: skip
    # Both compute in float64; the bound is the issue's.
    assert ssim(image, reference) == pytest.approx(expected, abs=1e-6)


def test_equal_pictures_have_an_ssim_of_one_and_no_distance():
    assert ssim(drawn(), drawn()) == 1.0
    assert latent_distance(drawn(), drawn(), pooled) == 0.0


def test_colours_count_in_ssim():
    red, green = Image.new("RGB", (16, 16), (200, 0, 0)), Image.new("RGB", (16, 16), (0, 200, 0))
    # Flat planes: only the means count, of which blue's alone agree; c1 is 6.5025.
    expected = (1 + 2 * (6.5025 / (200**2 + 6.5025))) / 3
    assert ssim(red, green) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("compare", [ssim, lambda a, b: latent_distance(a, b, pooled)])
def test_pictures_of_two_sizes_are_refused(compare):
    with pytest.raises(ValueError, match="size"):
        compare(drawn(64, 48), drawn(48, 64))


def test_pictures_smaller_than_the_window_have_no_ssim():
    assert SSIM_SIDE == 11
    with pytest.raises(ValueError, match="at least 11 pixels"):
        ssim(drawn(10, 64), drawn(10, 64))


def pooled(sample):
    """An encoder of a kind: means over 8 x 8 pixels, and log variances that mean nothing."""
    _, colors, height, width = sample.shape
    means = sample.reshape(1, colors, height // 8, 8, width // 8, 8).mean(axis=(3, 5))
    return np.concatenate([means, np.full_like(means, sample[0, 0, 0, 0] * 1000)], axis=1)


def test_the_distance_is_the_relative_rms_of_the_means_alone():
    a, b = noisy(drawn(), 30), drawn()
    found, expected = ((np.asarray(p, np.float64) / 127.5 - 1).reshape(8, 8, 6, 8, 3).mean(axis=(1, 3)) for p in (a, b))
    wanted = np.sqrt(np.sum((found - expected) ** 2) / np.sum(expected**2))
    # The samples are float32: 1e-7 of values of which the difference is a hundredth.
    assert latent_distance(a, b, pooled) == pytest.approx(wanted, rel=1e-4)


def test_latents_that_are_not_finite_are_refused():
    with pytest.raises(NonFinite, match="vae_encoder"):
        latent_distance(drawn(), drawn(), lambda sample: pooled(sample) * np.float32(np.nan))


@pytest.fixture(scope="module")
def see(workshop):
    """The demo model's own encoder, in Diffusers, and a picture that it knows."""
    torch = pytest.importorskip("torch")
    diffusers = pytest.importorskip("diffusers")
    from aquatint.demo.draw import draw
    from aquatint.demo.prompts import held_out

    vae = diffusers.AutoencoderKL.from_pretrained(
        workshop.checkpoint("demo"), subfolder="vae", torch_dtype=torch.float32
    )

    def encode(sample):
        with torch.inference_mode():
            return vae.encode(torch.from_numpy(sample)).latent_dist.parameters.numpy()

    scenes = [scene for _, scene in held_out(4)]
    pictures = [Image.fromarray(draw(scene, np.random.default_rng(1))) for scene in scenes]

    def distance(change):
        return np.mean([latent_distance(change(picture), picture, encode) for picture in pictures])

    return distance


def blurred(picture, radius):
    return picture.filter(ImageFilter.GaussianBlur(radius))


@pytest.mark.parametrize(
    "change, amounts", [(noisy, (2, 5, 10, 20, 40)), (blurred, (0.5, 1, 2, 4)), (moved, (1, 2, 4, 8))]
)
def test_for_the_demo_model_more_damage_is_farther(see, change, amounts):
    distances = [see(lambda picture, amount=amount: change(picture, amount)) for amount in amounts]
    assert distances == sorted(distances)
    assert distances[-1] > 5 * distances[0]


def test_for_the_demo_model_one_level_of_brightness_is_little(see):
    level = max(see(lambda picture: brighter(picture, 1)), see(lambda picture: brighter(picture, -1)))
    assert level < 0.02
    assert level < see(lambda picture: blurred(picture, 1))
    assert level < 0.5 * see(lambda picture: moved(picture, 1))
