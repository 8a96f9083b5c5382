"""Stable Diffusion's networks as sessions, against the same networks in Diffusers."""

import numpy as np
import pytest

from aquatint.runtime.shapes import ShapeRange, Shapes

torch = pytest.importorskip("torch")

TARGETS = ("ort:cpu", "openvino:cpu")
RANGES = Shapes(height=ShapeRange(64, 64, 96), width=ShapeRange(64, 64, 96), prompt_chunks=3)
# Float32 on two engines; the states are of size 1, and one layer is apart from the next by 0.1 and more.
CLOSE = {"rtol": 0, "atol": 1e-5}


def ids_of(pipe, prompt):
    return pipe.tokenizer(prompt, padding="max_length", max_length=77, truncation=True, return_tensors="np").input_ids


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("clip_skip", [None, 0, 1, 2, 3])
def test_the_text_encoder_gives_diffusers_states_for_every_clip_skip(opened, diffusers_pipe, target, clip_skip):
    pipe = diffusers_pipe("tiny-sd")
    with torch.no_grad():
        expected, negative = pipe.encode_prompt("a red boat", "cpu", 1, True, clip_skip=clip_skip)
    session = opened("tiny-sd", "text_encoder", target)

    def states(prompt, skip):
        feeds = {"input_ids": ids_of(pipe, prompt), "clip_skip": np.array([skip], np.int64)}
        return session.run(feeds)["last_hidden_state"]

    np.testing.assert_allclose(states("a red boat", -1 if clip_skip is None else clip_skip), expected, **CLOSE)
    np.testing.assert_allclose(states("", -1), negative, **CLOSE)


def test_one_more_than_the_largest_clip_skip_is_no_layer(anatomy_of, diffusers_pipe):
    pipe = diffusers_pipe("tiny-sd")
    largest = anatomy_of("tiny-sd").settings["largest_clip_skip"]
    with torch.no_grad():
        pipe.encode_prompt("a red boat", "cpu", 1, False, clip_skip=largest)
        with pytest.raises(IndexError):
            pipe.encode_prompt("a red boat", "cpu", 1, False, clip_skip=largest + 1)


@pytest.mark.parametrize("shapes", [Shapes(((64, 64),)), RANGES], ids=["sizes", "ranges"])
@pytest.mark.parametrize("target", TARGETS)
def test_the_denoiser_takes_prompts_of_one_chunk_and_of_three(opened, diffusers_pipe, target, shapes):
    session = opened("tiny-sd", "unet", target, shapes)
    for tokens in (77, 231):
        rng = np.random.default_rng(tokens)
        sample = rng.standard_normal((2, 4, 8, 8)).astype(np.float32)
        told = rng.standard_normal((2, tokens, 32)).astype(np.float32)
        feeds = {"sample": sample, "timestep": np.array([500], np.float32), "encoder_hidden_states": told}
        with torch.no_grad():
            expected = diffusers_pipe("tiny-sd").unet(*(torch.from_numpy(array) for array in feeds.values())).sample
        np.testing.assert_allclose(session.run(feeds)["out_sample"], expected, **CLOSE)


@pytest.mark.parametrize("name, kind", [("tiny-sd", "StableDiffusion"), ("tiny-lcm", "LatentConsistencyModel")])
def test_text_to_image_is_the_reference_of_a_checkpoint_saved_for_image_to_image(anatomy_of, name, kind):
    found = anatomy_of(name, _class_name=f"{kind}Img2ImgPipeline")
    assert found == anatomy_of(name, _class_name=f"{kind}Pipeline")
    assert found.reference == f"{kind}Pipeline"
    assert not found.settings["image_to_image"]


def test_an_inpainting_class_around_an_ordinary_denoiser_is_ordinary(anatomy_of):
    found = anatomy_of("tiny-sd", _class_name="StableDiffusionInpaintPipeline")
    assert (found.settings["inpainting"], found.reference) == (False, "StableDiffusionPipeline")
    assert anatomy_of("tiny-sd-inpaint").reference == "StableDiffusionInpaintPipeline"


@pytest.mark.parametrize("size, expected", [(256, 256), ([512, 256], 512), (None, 32)])
def test_tiles_are_as_large_as_diffusers_makes_them(checkpoint, size, expected):
    from diffusers import AutoencoderKL

    from aquatint.compile.families.sd import latent_settings

    configs = dict(checkpoint("tiny-sd").configs)
    vae = {key: value for key, value in configs["vae"].items() if key != "sample_size" and key[0] != "_"}
    vae |= {} if size is None else {"sample_size": size}
    assert latent_settings({**configs, "vae": vae})["tile_size"] == expected
    # Diffusers' size in latents, of 8 pixels: with a list, its size in pixels stays a list.
    assert AutoencoderKL(**vae).tile_latent_min_size == expected // 8
