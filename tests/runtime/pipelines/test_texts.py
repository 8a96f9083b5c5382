"""Prompts: layers skipped, long texts, second texts, and the words that come back about them."""

import numpy as np
import pytest
import torch

from aquatint.runtime.errors import BadRequest
from aquatint.runtime.pixels import psnr_db

LEAST_DB = 50
LONG = "a very long text about boats " * 12  # each letter of the tiny models' tokenizer is a token


@pytest.mark.parametrize("model", ["tiny-sd", "tiny-sdxl"])
@pytest.mark.parametrize("clip_skip", [0, 1, 2])
def test_layers_are_skipped_as_diffusers_skips_them(sides, model, clip_skip):
    told = {"prompt": "a red boat", "negative_prompt": "ugly", "num_inference_steps": 2, "clip_skip": clip_skip}
    assert sides.agree(model, None, told) >= LEAST_DB


def test_a_skipped_layer_makes_another_picture(sides):
    pipe = sides.pipe("tiny-sd")
    plain, skipped = (
        pipe("a boat", seed=1, num_inference_steps=2, **more).images[0] for more in ({}, {"clip_skip": 1})
    )
    assert psnr_db(plain, skipped) < 100


@pytest.mark.parametrize("clip_skip", [-1, 4, 1.5])
def test_more_layers_than_there_are_cant_be_skipped(sides, clip_skip):
    with pytest.raises(BadRequest, match=r"clip_skip is .* from 0 to 3"):
        sides.pipe("tiny-sd").generate("a boat", clip_skip=clip_skip)


@pytest.mark.parametrize(
    "second",
    [
        {"prompt_2": "two cats"},
        {"negative_prompt": "ugly", "negative_prompt_2": "blurred"},
        {"negative_prompt_2": "blurred"},
        {"prompt_2": "", "negative_prompt": ""},
        {"prompt": ["a boat", "a cat"], "prompt_2": ["", "x"], "negative_prompt": ["y", ""]},
        {"prompt": ["a boat", "a boat"], "negative_prompt": ["y", "z"], "negative_prompt_2": ["", "x"]},
    ],
    ids=str,
)
def test_sdxl_reads_a_second_text(sides, second):
    assert sides.agree("tiny-sdxl", None, {"prompt": "a boat", "num_inference_steps": 2, **second}) >= LEAST_DB


def embeds(pipe, text, chunks):
    """The states of a long text as Diffusers' users make them: in pieces of 75 tokens, laid side by side."""
    ids = pipe.tokenizer(text, add_special_tokens=False).input_ids
    pieces = [ids[i : i + 75] for i in range(0, 75 * chunks, 75)]
    first, last, pad = pipe.tokenizer.bos_token_id, pipe.tokenizer.eos_token_id, pipe.tokenizer.pad_token_id
    rows = torch.tensor([[first, *piece, last, *[pad] * (75 - len(piece))] for piece in pieces])
    with torch.inference_mode():
        return pipe.text_encoder(rows)[0].reshape(1, 77 * chunks, -1)


@pytest.mark.parametrize("target", ["ort:cpu", "openvino:cpu"])
@pytest.mark.parametrize("negative", ["ugly", LONG])
def test_a_long_text_in_chunks_is_diffusers_picture_for_its_states(sides, negative, target):
    reference = sides.reference("tiny-sd")
    chunks = -(-len(reference.tokenizer(LONG, add_special_tokens=False).input_ids) // 75)
    assert chunks == 4
    expected = reference(
        prompt_embeds=embeds(reference, LONG, chunks), negative_prompt_embeds=embeds(reference, negative, chunks),
        num_inference_steps=2, generator=torch.Generator().manual_seed(3),
    ).images[0]  # fmt: skip
    made = sides.pipe("tiny-sd", target)(
        LONG, negative_prompt=negative, long_prompt="chunks", num_inference_steps=2, seed=3
    )
    assert psnr_db(made.images[0], expected) >= LEAST_DB
    assert made.notes == ()


def test_sdxl_reads_a_long_text_in_chunks_too(sides):
    pipe = sides.pipe("tiny-sdxl")
    told = {"seed": 3, "num_inference_steps": 2}
    cut = pipe(LONG, **told)
    whole = pipe(LONG, long_prompt="chunks", **told)
    short = pipe("a boat", long_prompt="chunks", **told)
    assert psnr_db(cut.images[0], whole.images[0]) < 100
    assert psnr_db(short.images[0], pipe("a boat", **told).images[0]) == 100


def test_a_text_that_is_cut_is_said_to_be(sides):
    made = sides.pipe("tiny-sd")(LONG, num_inference_steps=1)
    count = len(sides.reference("tiny-sd").tokenizer(LONG, add_special_tokens=False).input_ids)
    assert made.notes == (
        f"of the {count} tokens of {LONG[:37] + '...'!r} only the first 75 count; with long_prompt chunks, all do",
    )
    assert sides.pipe("tiny-sd")("a boat", num_inference_steps=1).notes == ()


def test_a_text_of_more_chunks_than_the_bundle_takes_is_refused(sides):
    with pytest.raises(BadRequest, match="chunks of 75 tokens, this bundle was built for up to 4"):
        sides.pipe("tiny-sd").generate("word " * 10_000, long_prompt="chunks")


def test_ten_thousand_words_are_cut_as_diffusers_cuts_them(sides):
    assert sides.agree("tiny-sd", None, {"prompt": "word " * 10_000, "num_inference_steps": 1}) >= LEAST_DB


def test_xl_words_are_refused_for_other_models(sides):
    with pytest.raises(BadRequest, match="prompt_2 is for SDXL"):
        sides.pipe("tiny-sd").generate("a boat", prompt_2="two cats")


def test_guidance_is_rescaled_as_diffusers_rescales_it(sides):
    for model in ("tiny-sd", "tiny-sdxl"):
        told = {"prompt": "a boat", "num_inference_steps": 3, "num_images_per_prompt": 2, "guidance_rescale": 0.7}
        assert sides.agree(model, None, told) >= LEAST_DB


def test_latents_and_arrays_come_out_as_diffusers_gives_them(sides):
    for kind, shape in (("latent", (2, 4, 8, 8)), ("np", (2, 64, 64, 3))):
        told = {"prompt": "a boat", "num_inference_steps": 2, "num_images_per_prompt": 2, "output_type": kind}
        assert sides.agree("tiny-sd", None, told) >= 90
        assert np.shape(sides.pipe("tiny-sd")(**told).images) == shape
