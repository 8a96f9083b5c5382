"""Each pipeline over each model, engine and precision: the proof that the README's sheet shows a part of."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aquatint.profiles.profile import read_profile

EXACT_DB = 50  # float32 on two engines
NARROW_DB = 35  # a mean error of 1.8 % of the range
KINDS = {
    "demo": ("StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline"),
    "tiny-sd": ("StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline"),
    "tiny-sdxl": ("StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline"),
}
# What each engine computes or stores in 16 bits on a CPU.
NARROW = [
    ("openvino:cpu", "fp16"),
    ("openvino:cpu", "bf16"),
    ("ort:cpu", "fp16-weights"),
    ("ort:cpu", "bf16-weights"),
]


def least_db(sides, model, target, profile, **more):
    """The least PSNR of text to image, image to image and inpainting."""
    image, inpaint = KINDS[model]
    side = sides.pipe(model, target, profile).manifest.shapes.default_size[0]
    told = {"prompt": "a large red circle on a white background", "num_inference_steps": 8}
    picture, mask = _picture(side), _mask(side)
    ways = [
        sides.agree(model, None, told, target=target, profile=profile, **more),
        sides.agree(model, image, {**told, "image": picture, "strength": 0.6}, target=target, profile=profile, **more),
        sides.agree(
            model, inpaint,
            {**told, "image": picture, "mask_image": mask, "strength": 0.9, "height": side, "width": side},
            target=target, profile=profile, **more,
        ),
    ]  # fmt: skip
    return min(ways)


@pytest.mark.parametrize("target", ["ort:cpu", "openvino:cpu"])
@pytest.mark.parametrize("scheduler", [None, "euler_ancestral", "dpm_multistep"])
def test_the_demo_model_prints_diffusers_pictures(sides, target, scheduler):
    assert least_db(sides, "demo", target, "exact", scheduler=scheduler) >= EXACT_DB


@pytest.mark.parametrize(("target", "precision"), NARROW)
@pytest.mark.parametrize("model", KINDS)
def test_sixteen_bits_stay_close(sides, model, target, precision):
    exact = read_profile("exact")
    budget = replace(exact.budget, relative_error=0.1, psnr_db=NARROW_DB)
    profile = replace(exact, name=precision, precision={"default": precision}, budget=budget)
    assert least_db(sides, model, target, profile) >= NARROW_DB


@pytest.mark.parametrize("target", ["ort:cpu", "openvino:cpu"])
def test_a_large_picture_in_tiles_is_diffusers_own(sides, target):
    """tiny-sd's VAE has tiles of 64 pixels; the bundle is built for pictures of 96 x 160."""
    exact = read_profile("exact")
    wide = replace(exact, name="wide", shapes=replace(exact.shapes, sizes=("96x160",)))
    pipe = sides.pipe("tiny-sd", target, wide)
    reference = sides.reference("tiny-sd", KINDS["tiny-sd"][0])
    told = {"prompt": "a boat", "image": _picture(160).resize((160, 96)), "num_inference_steps": 3, "strength": 0.7}
    reference.vae.enable_tiling()
    try:
        tiled = sides.agree("tiny-sd", KINDS["tiny-sd"][0], told, target=target, profile=wide, vae_tiling=True)
    finally:
        reference.vae.disable_tiling()
    assert tiled >= EXACT_DB
    whole, parts = (pipe(**told, seed=1, vae_tiling=tiling).images[0] for tiling in (False, True))
    assert not np.array_equal(np.asarray(whole), np.asarray(parts))


def test_dpm_sde_prints_diffusers_picture_for_a_noise_sampler_seed(sides):
    """Its Brownian noise is torchsde's; without a seed of its own, Diffusers' picture changes from run to run."""
    pytest.importorskip("torchsde")
    own = sides.pipe("tiny-sd").manifest.scheduler
    config = {key: own[key] for key in ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")}
    config |= {"_class_name": "DPMSolverSDEScheduler", "noise_sampler_seed": 7}
    told = {"prompt": "a boat", "num_inference_steps": 6}
    # Noise asked for at times that differ in their last bit differs by up to 1 part in 1000 of a step.
    assert sides.agree("tiny-sd", None, told, scheduler=config) >= EXACT_DB


def _picture(side):
    y, x = np.mgrid[0:side, 0:side] / side
    disc = (x - 0.5) ** 2 + (y - 0.4) ** 2 < 0.06
    planes = np.stack([np.ones_like(x), np.where(disc, 0.2, 1 - x / 4), np.where(disc, 0.1, 1 - y / 4)], axis=-1)
    return Image.fromarray((planes * 255).round().astype(np.uint8))


def _mask(side):
    mask = Image.new("L", (side, side))
    mask.paste(255, (side // 3, side // 4, side - 5, side - 3))
    return mask
