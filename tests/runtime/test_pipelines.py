"""The same seed gives Diffusers' own picture."""

import diffusers
import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from aquatint import load
from aquatint.runtime.denoise import Step
from aquatint.runtime.errors import BadRequest, NonFinite, UnknownName
from aquatint.runtime.pixels import psnr_db
from aquatint.runtime.scheduler import available, diffusers_class

# Float32 on two engines differs by about 1e-6 a step; 50 dB is a mean error of under one grey level.
LEAST_DB = 50


@pytest.fixture(scope="module")
def checkpoints(workshop):
    """Name -> Diffusers' own pipeline, float32."""

    def opened(name):
        pipe = DiffusionPipeline.from_pretrained(workshop.checkpoint(name))
        pipe.set_progress_bar_config(disable=True)
        return pipe

    return {name: opened(name) for name in ("tiny-sd", "tiny-sdxl", "tiny-lcm")}


@pytest.fixture(scope="module")
def pipes(workshop):
    """Name -> our pipeline over the exact bundle for ONNX Runtime."""
    opened = {name: load(workshop.bundle(name, "ort:cpu")) for name in ("tiny-sd", "tiny-sdxl", "tiny-lcm")}
    yield opened
    for pipe in opened.values():
        pipe.close()


def theirs(pipe, prompt, seed, **arguments):
    return pipe(prompt, generator=torch.Generator("cpu").manual_seed(seed), **arguments).images


# Flow matching is for models that predict a flow; DPM++ SDE has a tree of noise of its own, tested beside it.
OF_THIS_MODEL = [name for name in available() if not name.startswith("flow_match") and name != "dpm_sde"]


@pytest.mark.parametrize("scheduler", OF_THIS_MODEL)
def test_every_scheduler_prints_diffusers_picture(checkpoints, pipes, scheduler):
    reference = checkpoints["tiny-sd"]
    kept = reference.scheduler
    reference.scheduler = getattr(diffusers, diffusers_class(scheduler)).from_config(kept.config)
    try:
        expected = theirs(reference, "a red boat", 5, num_inference_steps=6)[0]
    finally:
        reference.scheduler = kept
    printed = pipes["tiny-sd"]("a red boat", seed=5, num_inference_steps=6, scheduler=scheduler).images[0]
    assert psnr_db(printed, expected) >= LEAST_DB


def test_dpm_with_karras_sigmas_is_chosen_by_a_configuration(checkpoints, pipes):
    reference = checkpoints["tiny-sd"]
    kept = reference.scheduler
    settings = {**kept.config, "use_karras_sigmas": True, "algorithm_type": "dpmsolver++"}
    reference.scheduler = diffusers.DPMSolverMultistepScheduler.from_config(settings)
    try:
        expected = theirs(reference, "a boat", 1, num_inference_steps=5)[0]
    finally:
        reference.scheduler = kept
    config = {**pipes["tiny-sd"].manifest.scheduler, "_class_name": "DPMSolverMultistepScheduler"}
    known = {"num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "steps_offset", "_class_name"}
    chosen = {key: value for key, value in config.items() if key in known} | {"use_karras_sigmas": True}
    printed = pipes["tiny-sd"]("a boat", seed=1, num_inference_steps=5, scheduler=chosen).images[0]
    assert psnr_db(printed, expected) >= LEAST_DB


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
def test_every_argument_means_what_diffusers_means(checkpoints, pipes, model, arguments):
    told = {"prompt": "a red boat", "num_inference_steps": 3, **arguments}
    if model == "tiny-lcm":
        told.pop("negative_prompt", None)
    prompt = told.pop("prompt")
    defaults = {"guidance_scale": pipes[model].manifest.defaults.guidance_scale}
    expected = theirs(checkpoints[model], prompt, 11, **{**defaults, **told})
    printed = pipes[model](prompt, seed=11, **told).images
    assert len(printed) == len(expected)
    assert min(psnr_db(ours, other) for ours, other in zip(printed, expected)) >= LEAST_DB


def test_one_seed_for_each_image_is_one_generator_for_each(checkpoints, pipes):
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in (7, 8)]
    expected = checkpoints["tiny-sd"](
        "a boat", generator=generators, num_images_per_prompt=2, num_inference_steps=3
    ).images
    printed = pipes["tiny-sd"]("a boat", seed=[7, 8], num_images_per_prompt=2, num_inference_steps=3).images
    assert min(psnr_db(ours, other) for ours, other in zip(printed, expected)) >= LEAST_DB


def test_openvino_prints_the_same_picture_for_other_numbers_of_images(workshop, pipes):
    pipe = load(workshop.bundle("tiny-sd", "openvino:cpu"))
    for arguments in ({"num_images_per_prompt": 2}, {"guidance_scale": 1.0}):
        expected = pipes["tiny-sd"]("a boat", seed=1, num_inference_steps=2, **arguments).images
        printed = pipe("a boat", seed=1, num_inference_steps=2, **arguments).images
        assert min(psnr_db(ours, other) for ours, other in zip(printed, expected)) >= LEAST_DB
    pipe.close()


def test_given_latents_take_the_place_of_the_seeds(pipes):
    latents = np.random.default_rng(0).standard_normal((1, 4, 8, 8)).astype(np.float32)
    first = pipes["tiny-sd"]("a boat", latents=latents, seed=1, num_inference_steps=2).images[0]
    second = pipes["tiny-sd"]("a boat", latents=latents, seed=2, num_inference_steps=2).images[0]
    other = pipes["tiny-sd"]("a boat", seed=1, num_inference_steps=2).images[0]
    assert np.array_equal(np.asarray(first), np.asarray(second))
    assert not np.array_equal(np.asarray(first), np.asarray(other))


def test_every_step_is_seen_in_order(pipes):
    seen: list[Step] = []
    pipes["tiny-sd"]("a boat", seed=1, num_inference_steps=4, callback=seen.append)
    assert [(step.index, step.total) for step in seen] == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_the_result_says_how_to_make_it_again(pipes):
    made = pipes["tiny-sd"]("a boat", num_inference_steps=2)
    names = ("num_inference_steps", "guidance_scale", "height", "width", "seed", "scheduler")
    again = pipes["tiny-sd"](made.settings["prompt"], **{name: made.settings[name] for name in names})
    assert np.array_equal(np.asarray(made.images[0]), np.asarray(again.images[0]))


def test_latents_that_are_not_numbers_stop_at_the_first_step(pipes):
    latents = np.full((1, 4, 8, 8), np.nan, np.float32)
    with pytest.raises(NonFinite, match="unet, step 1 of 2"):
        pipes["tiny-sd"]("a boat", latents=latents, num_inference_steps=2)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"height": 100}, BadRequest, "built for 64x64"),
        ({"num_inference_steps": 0}, BadRequest, "num_inference_steps is 0"),
        ({"num_inference_steps": 5000}, BadRequest, "steps is 5000"),
        ({"scheduler": "eulr"}, UnknownName, "known: ddim"),
        ({"seed": [1, 2, 3]}, BadRequest, "3 seeds for 1 images"),
        ({"guidance_scale": float("nan")}, BadRequest, "finite"),
        ({"latents": np.zeros((1, 4, 9, 8), np.float32)}, BadRequest, r"this call needs \(1, 4, 8, 8\)"),
    ],
)
def test_a_wrong_request_is_refused_before_the_first_step(pipes, arguments, error, words):
    with pytest.raises(error, match=words):
        pipes["tiny-sd"].generate("a boat", **arguments)
