"""Under a mask, the same seed gives Diffusers' own picture."""

import numpy as np
import pytest
from PIL import Image

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.pixels import psnr_db

LEAST_DB = 50
CLASSES = {
    "tiny-sd": "StableDiffusionInpaintPipeline",
    "tiny-sd-inpaint": "StableDiffusionInpaintPipeline",
    "tiny-sdxl": "StableDiffusionXLInpaintPipeline",
    "tiny-sdxl-inpaint": "StableDiffusionXLInpaintPipeline",
}
# One of each kind: with and without noise of its own, one and two calls a step, in sigmas and in steps.
SPREAD = ("ddim", "euler_ancestral", "dpm_multistep", "heun", "dpm2_ancestral", "unipc", "pndm", "lcm", "ddpm")


@pytest.fixture
def told(picture, mask):
    return {
        "prompt": "a red boat", "image": picture, "mask_image": mask, "num_inference_steps": 4, "height": 64,
        "width": 64,
    }  # fmt: skip


@pytest.mark.parametrize("target", ["ort:cpu", "openvino:cpu"])
@pytest.mark.parametrize("strength", [None, 1.0, 0.6])
@pytest.mark.parametrize("model", CLASSES)
def test_every_model_paints_inside_a_mask(sides, told, model, strength, target):
    if strength is not None:
        told["strength"] = strength
    assert sides.agree(model, CLASSES[model], told, target=target) >= LEAST_DB


@pytest.mark.parametrize("scheduler", SPREAD)
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_schedulers_put_the_picture_back_at_their_own_noise_levels(sides, told, scheduler, strength):
    told |= {"strength": strength, "num_inference_steps": 6}
    assert sides.agree("tiny-sd", CLASSES["tiny-sd"], told, scheduler=scheduler) >= LEAST_DB


@pytest.mark.parametrize("model", CLASSES)
def test_several_pictures_and_masks_are_repeated_over_the_batch(sides, told, pictures, mask, model):
    turned = mask.transpose(Image.Transpose.ROTATE_90)
    told |= {"prompt": ["a boat", "two cats"], "image": pictures, "mask_image": [mask, turned], "strength": 0.7}
    told |= {"num_images_per_prompt": 2, "num_inference_steps": 3}
    assert sides.agree(model, CLASSES[model], told, scheduler="euler_ancestral") >= LEAST_DB


@pytest.mark.parametrize("model", CLASSES)
def test_a_seed_for_each_image(sides, told, model):
    told |= {"num_images_per_prompt": 2, "strength": 0.7}
    assert sides.agree(model, CLASSES[model], told, seed=[4, 9], scheduler="euler_ancestral") >= LEAST_DB


@pytest.mark.parametrize("model", ["tiny-sd", "tiny-sd-inpaint", "tiny-sdxl"])
@pytest.mark.parametrize("padding", [0, 10])
def test_only_the_part_around_the_mask_is_painted(sides, told, model, padding):
    large = told["image"].resize((200, 140))
    mask = Image.new("L", large.size)
    mask.paste(255, (120, 30, 150, 70))
    told |= {"image": large, "mask_image": mask, "padding_mask_crop": padding}
    assert sides.agree(model, CLASSES[model], told) >= LEAST_DB


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA"])
def test_masks_of_any_mode_and_size(sides, told, mode):
    told["mask_image"] = told["mask_image"].resize((37, 91)).convert(mode)
    assert sides.agree("tiny-sd", CLASSES["tiny-sd"], told) >= LEAST_DB


def test_latents_are_the_first_noise(sides, told):
    import torch

    latents = np.random.default_rng(3).standard_normal((1, 4, 8, 8)).astype(np.float32)
    for model, strength in (("tiny-sd", 1.0), ("tiny-sdxl", 0.5), ("tiny-sd-inpaint", 0.5)):
        reference = sides.reference(model, CLASSES[model])
        told["strength"] = strength
        pipe = sides.pipe(model)
        scale = pipe.manifest.defaults.guidance_scale
        expected = reference(
            **told, latents=torch.from_numpy(latents), generator=torch.Generator().manual_seed(2), guidance_scale=scale
        ).images[0]
        assert psnr_db(pipe(**told, latents=latents, seed=2).images[0], expected) >= LEAST_DB


def test_without_a_picture_a_model_for_masks_paints_all_of_it(sides):
    pipe = sides.pipe("tiny-sd-inpaint")
    everything = {"image": Image.new("RGB", (64, 64)), "mask_image": Image.new("L", (64, 64), 255)}
    told = {"prompt": "a boat", "num_inference_steps": 3}
    assert sides.agree("tiny-sd-inpaint", CLASSES["tiny-sd-inpaint"], {**told, **everything}) >= LEAST_DB
    plain, under = (pipe(**told, **more, seed=1).images[0] for more in ({}, everything))
    assert psnr_db(plain, under) == 100


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mask_image": None}, "paints inside a mask"),
        ({"mask_image": np.zeros((64, 64, 5, 2))}, "mask_image"),
        ({"padding_mask_crop": -1}, "padding_mask_crop is -1"),
        ({"padding_mask_crop": 4, "mask_image": Image.new("L", (64, 64))}, "black"),
        ({"padding_mask_crop": 4, "output_type": "np"}, "output_type"),
        ({"padding_mask_crop": 4, "mask_image": Image.new("L", (30, 64), 255)}, "must agree"),
        ({"image": np.zeros((1, 4, 8, 8), np.float32)}, "latents"),
        ({"mask_image": [Image.new("L", (64, 64), 255)] * 3}, "3 masks for 1 images"),
        (
            {"prompt": ["a"] * 4, "image": [Image.new("RGB", (64, 64))] * 4, "mask_image": np.ones((2, 64, 64))},
            "4 images and 2 masks; give as many of each",
        ),
    ],
)
def test_what_cant_be_done_is_refused(sides, told, arguments, words):
    with pytest.raises(BadRequest, match=words):
        sides.pipe("tiny-sd-inpaint").generate(**{**told, **arguments})
