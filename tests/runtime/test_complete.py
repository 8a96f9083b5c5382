"""Calls: what is refused, and what is filled in."""

import json
import secrets
from dataclasses import replace

import numpy as np
import pytest

from aquatint.runtime.complete import Rules, complete
from aquatint.runtime.errors import BadRequest
from aquatint.runtime.framing import Framing
from aquatint.runtime.request import Request
from aquatint.runtime.settings import Settings
from aquatint.runtime.shapes import Shapes
from aquatint.runtime.source import Mode

SETTINGS = Settings(latent_channels=4, scaling_factor=0.5, largest_clip_skip=3)
STRENGTH: dict[Mode, float] = {"text": 1.0, "image": 0.8, "inpaint": 1.0}
SD, XL = Rules(False, True, STRENGTH), Rules(True, False, STRENGTH)


@pytest.fixture
def call(manifest):
    def make(prompt="a cat", *, rules=SD, settings=SETTINGS, **arguments):
        return complete(Request(prompt, **arguments), manifest, settings, rules)

    return make


def test_the_bundles_defaults_are_filled_in(call):
    made = call(seed=5)
    assert (made.schedule.steps, made.guidance_scale, made.height, made.width) == (20, 7.5, 128, 192)
    assert (made.texts.prompts[0], made.texts.negatives[0], made.noise.seeds) == (("a cat",), (None,), (5,))
    assert (made.schedule.scheduler, made.images, made.latent_shape) == (None, 1, (1, 4, 16, 24))


def test_a_default_scheduler_is_filled_in_and_gives_way(manifest):
    manifest = replace(manifest, defaults=replace(manifest.defaults, scheduler="euler"))
    assert complete(Request("x"), manifest, SETTINGS, SD).schedule.scheduler == "euler"
    assert complete(Request("x", scheduler="lcm"), manifest, SETTINGS, SD).schedule.scheduler == "lcm"


def test_what_the_caller_says_goes_before_defaults(call):
    made = call(num_inference_steps=3, guidance_scale=0, height=64, width=256, seed=np.int64(9))
    assert (made.schedule.steps, made.guidance_scale, made.height, made.width) == (3, 0.0, 64, 256)
    assert made.noise.seeds == (9,)
    assert isinstance(made.guidance_scale, float)
    assert type(made.noise.seeds[0]) is int


def test_without_a_seed_one_of_32_bits_is_drawn(call, monkeypatch):
    monkeypatch.setattr(secrets, "randbits", lambda bits: bits)
    assert call().noise.seeds == (32,)


def test_two_calls_without_a_seed_differ(call):
    assert call().noise.seeds != call().noise.seeds


def test_pictures_are_prompts_times_copies(call):
    assert call(["a", "b", "c"], num_images_per_prompt=2).images == 6


def test_one_negative_prompt_serves_every_prompt(call):
    assert call(["a", "b"], negative_prompt="ugly").texts.negatives[0] == ("ugly", "ugly")
    assert call(["a", "b"], negative_prompt=["x", "y"]).texts.negatives[0] == ("x", "y")


def test_each_picture_may_have_a_seed(call):
    assert call(["a", "b"], num_images_per_prompt=2, seed=[1, 2, 3, -4]).noise.seeds == (1, 2, 3, -4)
    assert call(["a", "b"], seed=np.arange(2)).noise.seeds == (0, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"seed": 3},
        {"prompt": ["a", "b"], "negative_prompt": ["x", "y"], "seed": [1, 2]},
        {"guidance_rescale": 0.5, "clip_skip": 2, "long_prompt": "chunks", "generator": "cuda", "eta": 0.5},
        {"timesteps": np.array([900, 300]), "output_type": "np", "vae_tiling": True},
    ],
)
def test_what_a_call_says_makes_the_same_call_again(call, arguments):
    made = call(**{"scheduler": "euler", **arguments})
    again = call(**json.loads(json.dumps(made.request.said())))
    assert (again.texts, again.noise, again.schedule, again.framing) == (
        made.texts, made.noise, made.schedule, made.framing
    )  # fmt: skip
    assert again.request.said() == made.request.said()


@pytest.mark.parametrize("prompt", [None, 3, b"bytes", [], ["a", 3], [None], {"a": 1}, "\udcff", ["a", "\ud800"]])
def test_a_prompt_that_is_no_text_is_refused(call, prompt):
    with pytest.raises(BadRequest, match=r"^prompt is "):
        call(prompt)


def test_an_empty_prompt_is_a_prompt(call):
    assert call("").texts.prompts == (("",), ("",))


def test_a_negative_prompt_that_is_no_text_is_refused(call):
    with pytest.raises(BadRequest, match=r"^negative_prompt is 3"):
        call(negative_prompt=3)


def test_negatives_are_as_many_as_prompts(call):
    with pytest.raises(BadRequest, match=r"^negative_prompt has 1 texts for 2 prompts"):
        call(["a", "b"], negative_prompt=["x"])


@pytest.mark.parametrize("name", ["num_inference_steps", "height", "width", "num_images_per_prompt"])
@pytest.mark.parametrize("value", [0, -1, 1.5, 20.0, True, "20", float("nan"), [1]])
def test_counts_and_sides_are_whole_and_positive(call, name, value):
    with pytest.raises(BadRequest, match=f"^{name} is ") as caught:
        call(**{name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("name", ["num_inference_steps", "height", "num_images_per_prompt"])
def test_a_count_past_the_limit_is_told_the_limit(call, name):
    with pytest.raises(BadRequest, match=f"^{name} is 70000; .* 65536$"):
        call(**{name: 70000})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), "7", True, [7.5], 10**400])
def test_the_guidance_scale_is_a_finite_number(call, value):
    with pytest.raises(BadRequest, match=r"^guidance_scale is "):
        call(guidance_scale=value)


@pytest.mark.parametrize("value", [1.5, "12", True, [], [1, "2"], [None], np.ones((1, 2), int), np.array(5)])
def test_a_seed_that_is_no_whole_number_is_refused(call, value):
    with pytest.raises(BadRequest, match=r"^seed is "):
        call(seed=value)


@pytest.mark.parametrize("seeds", [[1, 2], [1, 2, 3]])
def test_seeds_are_one_or_as_many_as_pictures(call, seeds):
    with pytest.raises(BadRequest, match=f"^{len(seeds)} seeds for 4 images; give one, or one for each image"):
        call(["a", "b"], num_images_per_prompt=2, seed=seeds)


def test_a_size_outside_of_the_bundles_ranges_is_refused(call):
    with pytest.raises(BadRequest, match="height 64 to 256"):
        call(height=512)


def test_a_size_that_the_model_can_not_halve_is_refused(manifest):
    with pytest.raises(BadRequest, match="multiples of 64"):
        complete(Request("x", height=72), manifest, replace(SETTINGS, multiple=64), SD)


def test_a_size_that_is_not_in_the_bundles_list_is_refused(manifest):
    listed = replace(manifest, shapes=Shapes(((128, 128), (64, 64))))
    assert complete(Request("x", height=64, width=64), listed, SETTINGS, SD).height == 64
    with pytest.raises(BadRequest, match="built for 128x128, 64x64"):
        complete(Request("x", height=64), listed, SETTINGS, SD)


def test_sdxl_is_told_the_size_where_the_caller_says_nothing(call):
    made = call(rules=XL)
    assert made.framing == Framing((128, 192), (0, 0), (128, 192), 6.0)
    assert made.negative_framing == made.framing


@pytest.mark.parametrize("arguments", [{"original_size": (1, 2)}, {"denoising_end": 0.5}, {"aesthetic_score": 3}])
def test_what_only_sdxl_takes_is_refused_elsewhere(call, arguments):
    call(rules=XL, **arguments)
    with pytest.raises(BadRequest, match="is for SDXL"):
        call(**arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"timesteps": "900"}, "timesteps must be a list of numbers"),
        ({"sigmas": []}, "sigmas must be a list of numbers"),
        ({"sigmas": [1, "2"]}, "sigmas is '2'; it must be a finite number"),
        ({"vae_tiling": 1}, "vae_tiling is 1; it must be True or False"),
        ({"long_prompt": "all"}, "long_prompt is 'all'; it must be one of cut, chunks"),
        ({"guidance_rescale": -0.1}, "guidance_rescale is -0.1; it must be from 0 to 1"),
        ({"clip_skip": 4}, "clip_skip is 4; it must be a whole number from 0 to 3"),
        ({"latents": "noise"}, "latents are str; this call needs an array"),
    ],
)
def test_every_other_argument_is_checked_too(call, arguments, words):
    with pytest.raises(BadRequest, match=words):
        call(**arguments)


def test_layers_cant_be_skipped_where_the_graph_gives_one(call):
    with pytest.raises(BadRequest, match="a ready graph, which gives one layer"):
        call(settings=replace(SETTINGS, largest_clip_skip=None), clip_skip=1)


def test_a_bad_request_is_a_value_error_too():
    assert issubclass(BadRequest, ValueError)
