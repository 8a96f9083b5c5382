"""SDXL's networks as sessions, against Diffusers; and how its refiner and its inpainting model fall into components."""

import numpy as np
import pytest

from aquatint.compile.family import find_family

torch = pytest.importorskip("torch")

TARGETS = ("ort:cpu", "openvino:cpu")
CLOSE = {"rtol": 0, "atol": 1e-5}  # float32 on two engines


def states_of(opened, pipe, name, target, prompt, clip_skip):
    """Both encoders' states side by side, and the pooled embedding."""
    found = {}
    for part, tokenizer in (("text_encoder", pipe.tokenizer), ("text_encoder_2", pipe.tokenizer_2)):
        if tokenizer is None:
            continue
        ids = tokenizer(prompt, padding="max_length", max_length=77, truncation=True, return_tensors="np").input_ids
        session = opened(name, part, target)
        found[part] = session.run({"input_ids": ids, "clip_skip": np.array([clip_skip], np.int64)})
    states = [outputs["hidden_states"] for outputs in found.values()]
    return np.concatenate(states, axis=-1), found["text_encoder_2"]["text_embeds"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("clip_skip", [None, 0, 1, 2])
@pytest.mark.parametrize("name", ["tiny-sdxl", "tiny-sdxl-refiner"])
def test_the_text_encoders_give_diffusers_states_for_every_clip_skip(opened, diffusers_pipe, name, target, clip_skip):
    pipe = diffusers_pipe(name)
    with torch.no_grad():
        told = pipe.encode_prompt("a red boat", device="cpu", negative_prompt="grey", clip_skip=clip_skip)
    expected, negative, pooled, negative_pooled = told
    states, whole = states_of(opened, pipe, name, target, "a red boat", -1 if clip_skip is None else clip_skip)
    np.testing.assert_allclose(states, expected, **CLOSE)
    np.testing.assert_allclose(whole, pooled, **CLOSE)
    # Diffusers leaves no layer out of a negative prompt.
    states, whole = states_of(opened, pipe, name, target, "grey", -1)
    np.testing.assert_allclose(states, negative, **CLOSE)
    np.testing.assert_allclose(whole, negative_pooled, **CLOSE)


@pytest.mark.parametrize("name", ["tiny-sdxl", "tiny-sdxl-refiner"])
def test_one_more_than_the_largest_clip_skip_is_no_layer(anatomy_of, diffusers_pipe, name):
    pipe = diffusers_pipe(name)
    largest = anatomy_of(name).settings["largest_clip_skip"]
    with torch.no_grad():
        pipe.encode_prompt("a red boat", device="cpu", clip_skip=largest)
        with pytest.raises(IndexError):
            pipe.encode_prompt("a red boat", device="cpu", clip_skip=largest + 1)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name, width, numbers", [("tiny-sdxl", 64, 6), ("tiny-sdxl-refiner", 32, 5)])
def test_the_denoiser_takes_prompts_of_one_chunk_and_of_three(opened, diffusers_pipe, target, name, width, numbers):
    session = opened(name, "unet", target)
    for tokens in (77, 231):
        rng = np.random.default_rng(tokens)
        feeds = {
            "sample": rng.standard_normal((2, 4, 8, 8)).astype(np.float32),
            "timestep": np.array([500], np.float32),
            "encoder_hidden_states": rng.standard_normal((2, tokens, width)).astype(np.float32),
            "text_embeds": rng.standard_normal((2, 32)).astype(np.float32),
            "time_ids": rng.uniform(0, 64, (2, numbers)).astype(np.float32),
        }
        sample, timestep, told, pooled, ids = (torch.from_numpy(array) for array in feeds.values())
        added = {"text_embeds": pooled, "time_ids": ids}
        with torch.no_grad():
            expected = diffusers_pipe(name).unet(sample, timestep, told, added_cond_kwargs=added).sample
        np.testing.assert_allclose(session.run(feeds)["out_sample"], expected, **CLOSE)


def test_the_refiner_has_the_second_encoder_alone_and_goes_on_from_a_picture(anatomy_of):
    found = anatomy_of("tiny-sdxl-refiner")
    assert [network.name for network in found.networks] == ["text_encoder_2", "unet", "vae_decoder", "vae_encoder"]
    assert found.tokenizers == ("tokenizer_2",)
    assert found.reference == "StableDiffusionXLImg2ImgPipeline"
    assert found.settings["image_to_image"]
    assert found.settings["aesthetics_score"]
    assert not found.settings["zero_empty_negative"]


def test_a_base_model_saved_for_other_tasks_prints_from_text(anatomy_of):
    for kind in ("StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline"):
        found = anatomy_of("tiny-sdxl", _class_name=kind, requires_aesthetics_score=False)
        assert found.reference == "StableDiffusionXLPipeline"
        assert found.networks == anatomy_of("tiny-sdxl").networks
        assert not found.settings["image_to_image"]


def test_a_model_that_asks_for_a_score_is_told_five_numbers_whatever_its_encoders(anatomy_of):
    def numbers(**changes):
        found = anatomy_of("tiny-sdxl", _class_name="StableDiffusionXLImg2ImgPipeline", **changes)
        unet = next(network for network in found.networks if network.name == "unet")
        return next(spec.dims[1] for spec in unet.inputs if spec.name == "time_ids"), found.settings["image_to_image"]

    assert numbers(requires_aesthetics_score=True) == (5, True)
    assert numbers() == (6, False)


def test_an_inpainting_denoiser_has_its_own_reference_and_scale(anatomy_of):
    found = anatomy_of("tiny-sdxl-inpaint")
    assert (found.reference, found.guidance_scale) == ("StableDiffusionXLInpaintPipeline", 7.5)
    assert found.settings["inpainting"]
    assert not found.settings["image_to_image"]


@pytest.mark.parametrize("said, zeros", [({}, True), ({"force_zeros_for_empty_prompt": False}, False)])
def test_where_the_index_says_nothing_of_empty_prompts_diffusers_default_holds(checkpoint, said, zeros):
    configs = checkpoint("tiny-sdxl").configs
    index = {key: value for key, value in configs["model_index"].items() if key != "force_zeros_for_empty_prompt"}
    found = find_family(index["_class_name"]).anatomy({**configs, "model_index": {**index, **said}})
    assert found.settings["zero_empty_negative"] is zeros
