"""Calls: what is refused, and what is filled in."""

import secrets
from dataclasses import replace

import numpy as np
import pytest

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.request import Request, complete
from aquatint.runtime.shapes import Shapes


@pytest.fixture
def call(manifest):
    def make(prompt="a cat", **arguments):
        return complete(Request(prompt, **arguments), manifest, 8)

    return make


def test_the_bundles_defaults_are_filled_in(call):
    made = call(seed=5)
    assert (made.steps, made.guidance_scale, made.height, made.width) == (20, 7.5, 128, 192)
    assert (made.prompts, made.negatives, made.seeds) == (("a cat",), (None,), (5,))
    assert (made.scheduler, made.images) == (None, 1)


def test_a_default_scheduler_is_filled_in_and_gives_way(manifest):
    manifest = replace(manifest, defaults=replace(manifest.defaults, scheduler="euler"))
    assert complete(Request("x"), manifest, 8).scheduler == "euler"
    assert complete(Request("x", scheduler="lcm"), manifest, 8).scheduler == "lcm"


def test_what_the_caller_says_goes_before_defaults(call):
    made = call(num_inference_steps=3, guidance_scale=0, height=64, width=256, seed=np.int64(9))
    assert (made.steps, made.guidance_scale, made.height, made.width, made.seeds) == (3, 0.0, 64, 256, (9,))
    assert isinstance(made.guidance_scale, float)
    assert type(made.seeds[0]) is int


def test_without_a_seed_one_of_32_bits_is_drawn(call, monkeypatch):
    monkeypatch.setattr(secrets, "randbits", lambda bits: bits)
    assert call().seeds == (32,)


def test_two_calls_without_a_seed_differ(call):
    assert call().seeds != call().seeds


def test_pictures_are_prompts_times_copies(call):
    assert call(["a", "b", "c"], num_images_per_prompt=2).images == 6


def test_one_negative_prompt_serves_every_prompt(call):
    assert call(["a", "b"], negative_prompt="ugly").negatives == ("ugly", "ugly")
    assert call(["a", "b"], negative_prompt=["x", "y"]).negatives == ("x", "y")


def test_each_picture_may_have_a_seed(call):
    assert call(["a", "b"], num_images_per_prompt=2, seed=[1, 2, 3, -4]).seeds == (1, 2, 3, -4)
    assert call(["a", "b"], seed=np.arange(2)).seeds == (0, 1)


def test_a_record_makes_the_same_call_again(call):
    for arguments in ({"seed": 3}, {"prompt": ["a", "b"], "negative_prompt": ["x", "y"], "seed": [1, 2]}):
        made = call(**{"scheduler": "euler", **arguments})
        assert call(**made.record()) == made


@pytest.mark.parametrize("prompt", [None, 3, b"bytes", [], ["a", 3], [None], {"a": 1}, "\udcff", ["a", "\ud800"]])
def test_a_prompt_that_is_no_text_is_refused(call, prompt):
    with pytest.raises(BadRequest, match=r"^prompt is "):
        call(prompt)


def test_an_empty_prompt_is_a_prompt(call):
    assert call("").prompts == ("",)


def test_a_negative_prompt_that_is_no_text_is_refused(call):
    with pytest.raises(BadRequest, match=r"^negative_prompt is 3"):
        call(negative_prompt=3)


def test_negatives_are_as_many_as_prompts(call):
    with pytest.raises(BadRequest, match=r"^1 negative prompts for 2 prompts"):
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
        complete(Request("x", height=72), manifest, 64)


def test_a_size_that_is_not_in_the_bundles_list_is_refused(manifest):
    listed = replace(manifest, shapes=Shapes(((128, 128), (64, 64))))
    assert complete(Request("x", height=64, width=64), listed, 8).height == 64
    with pytest.raises(BadRequest, match="built for 128x128, 64x64"):
        complete(Request("x", height=64), listed, 8)


def test_a_bad_request_is_a_value_error_too():
    assert issubclass(BadRequest, ValueError)
