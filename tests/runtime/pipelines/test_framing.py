"""What SDXL is told of the picture, and the way from a base model to its refiner."""

import pytest
import torch

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.pixels import psnr_db

LEAST_DB = 50
IMAGE, INPAINT = "StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline"
FRAMINGS = [
    {"original_size": (100, 200)},
    {"crops_coords_top_left": (3, 40), "target_size": (32, 48)},
    {"negative_original_size": (20, 30)},
    {
        "original_size": (100, 200), "negative_original_size": (20, 30), "negative_target_size": (50, 60),
        "negative_crops_coords_top_left": (7, 9), "crops_coords_top_left": (1, 2),
    },
]  # fmt: skip


@pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: "-".join(framing))
@pytest.mark.parametrize("kind", [None, IMAGE, INPAINT])
def test_sizes_are_told_as_each_of_diffusers_pipelines_tells_them(sides, picture, mask, framing, kind):
    told = {"prompt": "a boat", "negative_prompt": "ugly", "num_inference_steps": 3, **framing}
    if kind is not None:
        told |= {"image": picture, "strength": 0.7}
    if kind == INPAINT:
        told |= {"mask_image": mask, "height": 64, "width": 64}
    assert sides.agree("tiny-sdxl", kind, told) >= LEAST_DB


@pytest.mark.parametrize("target", ["ort:cpu", "openvino:cpu"])
@pytest.mark.parametrize(
    "told", [{}, {"aesthetic_score": 3.5, "negative_aesthetic_score": 5.0}, {"negative_prompt": "x"}]
)
def test_the_refiner_goes_on_from_a_picture(sides, picture, told, target):
    told = {"prompt": "a boat", "image": picture, "num_inference_steps": 6, "strength": 0.5, **told}
    assert sides.agree("tiny-sdxl-refiner", None, told, target=target) >= LEAST_DB


@pytest.mark.parametrize("scheduler", ["euler", "heun", "dpm_multistep"])
def test_base_and_refiner_share_a_run(sides, scheduler):
    """Both sides make both halves by themselves, so that what passes between them is checked too."""
    base, refiner = sides.reference("tiny-sdxl"), sides.reference("tiny-sdxl-refiner")
    told = {"prompt": "a boat", "num_inference_steps": 8}
    kept = base.scheduler, refiner.scheduler
    base.scheduler = refiner.scheduler = sides._scheduler(scheduler, kept[0].config)
    try:
        half = base(**told, denoising_end=0.6, output_type="latent", generator=torch.Generator().manual_seed(1)).images
        expected = refiner(**told, denoising_start=0.6, image=half, generator=torch.Generator().manual_seed(2)).images[
            0
        ]
    finally:
        base.scheduler, refiner.scheduler = kept
    ours = sides.pipe("tiny-sdxl")(
        **told, denoising_end=0.6, output_type="latent", seed=1, guidance_scale=5.0, scheduler=scheduler
    )
    printed = sides.pipe("tiny-sdxl-refiner")(
        **told, denoising_start=0.6, image=ours.images, seed=2, guidance_scale=5.0, scheduler=scheduler
    ).images[0]
    assert psnr_db(printed, expected) >= LEAST_DB


def test_painting_under_a_mask_can_stop_early_and_go_on(sides, picture, mask):
    told = {"prompt": "a boat", "image": picture, "mask_image": mask, "height": 64, "width": 64}
    told |= {"num_inference_steps": 8, "denoising_start": 0.3, "denoising_end": 0.8}
    assert sides.agree("tiny-sdxl", INPAINT, told) >= LEAST_DB


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"denoising_end": 1.5}, "denoising_end is 1.5; it must be between 0 and 1"),
        ({"denoising_end": 0.001, "num_inference_steps": 3}, "no step is left by denoising_end 0.001"),
        ({"denoising_start": 0.5}, "denoising_start is given without an image"),
        ({"original_size": 64}, "original_size is 64; it must be two whole numbers"),
        ({"aesthetic_score": float("nan")}, "aesthetic_score"),
    ],
)
def test_what_cant_be_done_is_refused(sides, arguments, words):
    with pytest.raises(BadRequest, match=words):
        sides.pipe("tiny-sdxl").generate("a boat", **arguments)


def test_an_end_before_the_start_is_refused(sides, picture):
    with pytest.raises(BadRequest, match=r"denoising_start is 0.5 and denoising_end 0.4"):
        sides.pipe("tiny-sdxl").generate("a boat", image=picture, denoising_start=0.5, denoising_end=0.4)


def test_the_refiner_needs_a_picture(sides):
    with pytest.raises(BadRequest, match="goes on from a picture"):
        sides.pipe("tiny-sdxl-refiner").generate("a boat")
