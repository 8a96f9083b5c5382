"""The same seed gives Diffusers' own picture."""

import dataclasses

import numpy as np
import pytest

from aquatint.runtime.denoise import Step
from aquatint.runtime.errors import BadRequest, UnknownName
from aquatint.runtime.pixels import psnr_db
from aquatint.runtime.request import Request
from aquatint.runtime.scheduler import available

LEAST_DB = 50
# Flow matching is for models that predict a flow; DPM++ SDE has a tree of noise of its own, tested beside it.
OF_THIS_MODEL = [name for name in available() if not name.startswith("flow_match") and name != "dpm_sde"]
ENGINES = ["ort:cpu", "openvino:cpu"]


@pytest.mark.parametrize("target", ENGINES)
@pytest.mark.parametrize("scheduler", OF_THIS_MODEL)
def test_every_scheduler_prints_diffusers_picture(sides, scheduler, target):
    told = {"prompt": "a red boat", "num_inference_steps": 6}
    assert sides.agree("tiny-sd", None, told, scheduler=scheduler, target=target) >= LEAST_DB


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "euler_ancestral", "dpm_multistep", "heun", "unipc"])
def test_schedulers_are_the_same_for_sdxl(sides, scheduler):
    told = {"prompt": "a red boat", "num_inference_steps": 5}
    assert sides.agree("tiny-sdxl", None, told, scheduler=scheduler) >= LEAST_DB


def test_a_configuration_chooses_the_scheduler(sides):
    own = sides.pipe("tiny-sd").manifest.scheduler
    chosen = {key: own[key] for key in ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")}
    chosen |= {"_class_name": "DPMSolverMultistepScheduler", "use_karras_sigmas": True, "steps_offset": 1}
    told = {"prompt": "a boat", "num_inference_steps": 5}
    assert sides.agree("tiny-sd", None, told, scheduler=chosen) >= LEAST_DB


@pytest.mark.parametrize(
    ("scheduler", "schedule"),
    [("euler", {"sigmas": [14.0, 5.0, 1.0, 0.1, 0.0]}), ("ddpm", {"timesteps": [900, 500, 300, 10]})],
)
def test_a_schedule_of_ones_own(sides, scheduler, schedule):
    assert sides.agree("tiny-sd", None, {"prompt": "a boat", **schedule}, scheduler=scheduler) >= LEAST_DB


def test_eta_is_for_the_schedulers_that_know_it(sides):
    told = {"prompt": "a boat", "num_inference_steps": 4, "eta": 0.7}
    assert sides.agree("tiny-sd", None, told, scheduler="ddim") >= LEAST_DB
    with pytest.raises(BadRequest, match="eta"):
        sides.pipe("tiny-sd").generate("a boat", eta=0.7, scheduler="euler")


@pytest.mark.parametrize("model", ["tiny-sd", "tiny-sdxl", "tiny-lcm"])
@pytest.mark.parametrize(
    "arguments",
    [
        {"num_images_per_prompt": 3},
        {"negative_prompt": "blurred, ugly"},
        {"guidance_scale": 1.0},
        {"guidance_scale": 3.25},
        {"prompt": ["a boat", "two cats and a dog"]},
        {"prompt": ""},
        {"prompt": "a very long text " * 60},
        {"prompt": "ein Schloß, 城, قلعة 🏰"},
    ],
    ids=lambda arguments: next(iter(arguments)),
)
def test_every_argument_means_what_diffusers_means(sides, model, arguments):
    told = {"prompt": "a red boat", "num_inference_steps": 3, **arguments}
    if model == "tiny-lcm":
        told.pop("negative_prompt", None)
    assert sides.agree(model, None, told, seed=11) >= LEAST_DB


@pytest.mark.parametrize("target", ENGINES)
def test_one_seed_for_each_image_is_one_generator_for_each(sides, target):
    told = {"prompt": "a boat", "num_images_per_prompt": 2, "num_inference_steps": 3}
    assert sides.agree("tiny-sd", None, told, seed=[7, 8], target=target, scheduler="euler_ancestral") >= LEAST_DB


@pytest.mark.parametrize("arguments", [{"num_images_per_prompt": 2}, {"guidance_scale": 1.0}])
def test_openvino_takes_other_numbers_of_images(sides, arguments):
    told = {"prompt": "a boat", "num_inference_steps": 2, **arguments}
    assert sides.agree("tiny-sd", None, told, target="openvino:cpu") >= LEAST_DB


def test_given_latents_take_the_place_of_the_seeds(sides):
    latents = np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)
    pipe = sides.pipe("tiny-sd")
    first, second = (pipe("a boat", latents=latents, seed=seed, num_inference_steps=2).images[0] for seed in (1, 2))
    other = pipe("a boat", seed=1, num_inference_steps=2).images[0]
    assert np.array_equal(np.asarray(first), np.asarray(second))
    assert not np.array_equal(np.asarray(first), np.asarray(other))


def test_noise_of_other_generators_and_types_makes_other_pictures(sides):
    pipe = sides.pipe("tiny-sd")
    variants = ({}, {"generator": "cuda"}, {"noise_dtype": "float16"})
    pictures = [np.asarray(pipe("a boat", seed=1, num_inference_steps=2, **more).images[0]) for more in variants]
    assert not np.array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_every_step_is_seen_in_order(sides):
    seen: list[Step] = []
    sides.pipe("tiny-sd")("a boat", seed=1, num_inference_steps=4, callback=seen.append)
    assert [(step.index, step.total) for step in seen] == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_a_callback_may_stop_the_run_and_has_the_picture_so_far(sides):
    """As in Diffusers, where a callback sets pipe._interrupt."""
    import torch

    def interrupt(pipe, step, timestep, tensors):
        pipe._interrupt = step == 1
        return tensors

    expected = sides.reference("tiny-sd")(
        "a boat", num_inference_steps=5, generator=torch.Generator().manual_seed(1), callback_on_step_end=interrupt
    ).images[0]
    seen = []
    made = sides.pipe("tiny-sd")(
        "a boat", seed=1, num_inference_steps=5, callback=lambda step: seen.append(step.index) or step.index == 1
    )
    assert seen == [0, 1]
    assert made.settings["stopped_after"] == 2
    assert psnr_db(made.images[0], expected) >= LEAST_DB


def test_the_result_says_how_to_make_it_again(sides):
    pipe = sides.pipe("tiny-sd")
    made = pipe("a boat", num_inference_steps=2, negative_prompt="ugly", guidance_rescale=0.3, scheduler="euler")
    names = {field.name for field in dataclasses.fields(Request)}
    again = pipe(**{name: value for name, value in made.settings.items() if name in names})
    assert np.array_equal(np.asarray(made.images[0]), np.asarray(again.images[0]))
    assert again.settings == made.settings


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"height": 100}, BadRequest, "built for 64x64"),
        ({"num_inference_steps": 0}, BadRequest, "num_inference_steps is 0"),
        ({"num_inference_steps": 5000}, BadRequest, "steps is 5000"),
        ({"scheduler": "eulr"}, UnknownName, "known: ddim"),
        ({"seed": [1, 2, 3]}, BadRequest, "3 seeds for 1 images"),
        ({"guidance_scale": float("nan")}, BadRequest, "finite"),
        ({"latents": np.zeros((1, 4, 9, 8), np.float32)}, BadRequest, r"of shape \(1, 4, 8, 8\)"),
        ({"latents": np.full((1, 4, 8, 8), np.nan, np.float32)}, BadRequest, "must be finite"),
        ({"output_type": "tensor"}, BadRequest, "one of pil, np, latent"),
        ({"generator": "tpu"}, BadRequest, "one of cpu, cuda"),
    ],
)
def test_a_wrong_request_is_refused_before_the_first_step(sides, arguments, error, words):
    with pytest.raises(error, match=words):
        sides.pipe("tiny-sd").generate("a boat", **arguments)
