"""From a picture, the same seed gives Diffusers' own picture."""

import numpy as np
import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.pixels import psnr_db
from aquatint.runtime.scheduler import available

LEAST_DB = 50
CLASSES = {
    "tiny-sd": "StableDiffusionImg2ImgPipeline",
    "tiny-sdxl": "StableDiffusionXLImg2ImgPipeline",
    "tiny-lcm": "LatentConsistencyModelImg2ImgPipeline",
    # With LCM's scheduler and guidance embedding, but SDXL's own way with strength.
    "tiny-sdxl-lcm": "StableDiffusionXLImg2ImgPipeline",
}
# Flow matching is for models that predict a flow; DPM++ SDE's noise is a tree of its own.
OF_THIS_MODEL = [name for name in available() if not name.startswith("flow_match") and name != "dpm_sde"]


@pytest.mark.parametrize("target", ["ort:cpu", "openvino:cpu"])
@pytest.mark.parametrize("model", CLASSES)
def test_every_model_goes_on_from_a_picture(sides, picture, model, target):
    told = {"prompt": "a red boat", "image": picture, "num_inference_steps": 4, "strength": 0.6}
    assert sides.agree(model, CLASSES[model], told, target=target) >= LEAST_DB


@pytest.mark.parametrize("scheduler", OF_THIS_MODEL)
def test_every_scheduler_starts_late_as_diffusers_does(sides, picture, scheduler):
    told = {"prompt": "a red boat", "image": picture, "num_inference_steps": 7, "strength": 0.5}
    assert sides.agree("tiny-sd", CLASSES["tiny-sd"], told, scheduler=scheduler) >= LEAST_DB


@pytest.mark.parametrize("model", ["tiny-sd", "tiny-sdxl"])
def test_strength_has_diffusers_default(sides, picture, model):
    told = {"prompt": "a red boat", "image": picture, "num_inference_steps": 6}
    assert sides.agree(model, CLASSES[model], told) >= LEAST_DB


@pytest.mark.parametrize("strength", [0.17, 0.99, 1.0])
def test_strength_is_rounded_as_diffusers_rounds_it(sides, picture, strength):
    told = {"prompt": "a red boat", "image": picture, "num_inference_steps": 6, "strength": strength}
    assert sides.agree("tiny-sd", CLASSES["tiny-sd"], told) >= LEAST_DB


@pytest.mark.parametrize("model", CLASSES)
def test_one_seed_encodes_each_picture_once_and_repeats_them(sides, pictures, model):
    told = {
        "prompt": ["a red boat", "two cats"], "image": pictures, "strength": 0.6, "num_inference_steps": 3,
        "num_images_per_prompt": 2,
    }  # fmt: skip
    assert sides.agree(model, CLASSES[model], told) >= LEAST_DB


@pytest.mark.parametrize("model", ["tiny-sd", "tiny-sdxl"])
def test_a_seed_for_each_image_has_each_encode_a_picture_of_its_own(sides, pictures, model):
    told = {"prompt": ["a red boat", "two cats"], "image": pictures, "strength": 0.6, "num_inference_steps": 3}
    assert sides.agree(model, CLASSES[model], told, seed=[3, 4]) >= LEAST_DB
    one = {**told, "prompt": "a boat", "image": pictures[0], "num_images_per_prompt": 2}
    assert sides.agree(model, CLASSES[model], one, seed=[3, 4]) >= LEAST_DB


def test_a_picture_of_another_size_is_resized_where_the_caller_says_a_size(sides, picture):
    pipe = sides.pipe("tiny-sd")
    large = picture.resize((150, 100))
    with pytest.raises(BadRequest, match="not 96x144; that is the size of the image, give height and width"):
        pipe("a boat", image=large, num_inference_steps=2)
    resized = large.resize((64, 64), resample=1)  # Lanczos, as in Diffusers
    expected = pipe("a boat", image=resized, seed=1, num_inference_steps=3).images[0]
    printed = pipe("a boat", image=large, height=64, width=64, seed=1, num_inference_steps=3).images[0]
    assert psnr_db(printed, expected) == 100


def test_arrays_and_modes_mean_the_same_picture(sides, picture):
    pipe = sides.pipe("tiny-sd")
    expected = pipe("a boat", image=picture, seed=1, num_inference_steps=3).images[0]
    levels = np.asarray(picture)
    opaque = picture.convert("RGBA")
    for other in (levels, levels[None], levels.astype(np.float32) / 255, [picture], opaque):
        assert psnr_db(pipe("a boat", image=other, seed=1, num_inference_steps=3).images[0], expected) >= 80


def test_latents_are_taken_without_the_encoder(sides):
    latents = np.random.default_rng(3).standard_normal((1, 4, 8, 8)).astype(np.float32)
    import torch

    reference = sides.reference("tiny-sd", CLASSES["tiny-sd"])
    expected = reference(
        "a boat", image=torch.from_numpy(latents), num_inference_steps=4, strength=0.5,
        generator=torch.Generator().manual_seed(2),
    ).images[0]  # fmt: skip
    printed = sides.pipe("tiny-sd")("a boat", image=latents, num_inference_steps=4, strength=0.5, seed=2).images[0]
    assert psnr_db(printed, expected) >= LEAST_DB


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"strength": 0}, "strength is 0, which leaves nothing"),
        ({"strength": 0.3, "num_inference_steps": 3}, "at least 0.3334,"),
        ({"strength": 2}, "strength is 2; it must be from 0 to 1"),
        ({"strength": 0.1, "num_inference_steps": 4}, "strength 0.1 of 4 steps leaves none; it must be at least 0.25"),
        ({"latents": np.zeros((1, 4, 8, 8), np.float32)}, "give them as image"),
        ({"padding_mask_crop": 8}, "without a mask_image"),
        ({"image": []}, "image"),
        ({"image": "boat.png"}, "image"),
        ({"image": np.full((1, 4, 8, 8), np.nan, np.float32)}, "must be finite"),
    ],
)
def test_what_cant_be_done_is_refused(sides, picture, arguments, words):
    with pytest.raises(BadRequest, match=words):
        sides.pipe("tiny-sd").generate("a boat", **{"image": picture, **arguments})


def test_what_belongs_to_a_picture_is_refused_without_one(sides):
    for arguments in ({"strength": 0.5}, {"mask_image": np.ones((64, 64))}, {"padding_mask_crop": 3}):
        with pytest.raises(BadRequest, match="without an image"):
            sides.pipe("tiny-sd").generate("a boat", **arguments)
