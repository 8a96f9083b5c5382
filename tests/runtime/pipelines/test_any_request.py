"""Whatever is asked for, a pipeline answers with right pictures, or with one clear line before its first step."""

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from aquatint.runtime.bundle import open_bundle, pipeline_of
from aquatint.runtime.errors import Error
from aquatint.runtime.pipeline import finish
from aquatint.runtime.request import XL_ONLY
from aquatint.runtime.scheduler import available
from aquatint.runtime.session import EngineOptions
from aquatint.runtime.shapes import size_of

MODELS = ("tiny-sd", "tiny-sdxl", "tiny-sd-inpaint", "tiny-lcm")
LONGEST = 400  # of a message: it quotes at most some tens of characters of a value
nan, inf = float("nan"), float("inf")
# As a message calls an argument, where that is not its name.
CALLED = {"num_inference_steps": "steps", "num_images_per_prompt": "images", "strength": "str"}
SCALED = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}


class Speechless:
    """What can't be shown."""

    def __repr__(self):
        raise RuntimeError


def picture(mode, width, height):
    rng = np.random.default_rng(width * 7 + height)
    image = Image.fromarray(rng.integers(0, 256, (height, width, 4), dtype=np.uint8), "RGBA")
    if mode in ("I;16", "F", "I"):
        return image.convert("L").convert(mode if mode != "I;16" else "I").convert(mode)
    return image if mode == "RGBA" else image.convert("RGB").convert("L" if mode == "LA" else mode).convert(mode)


def framed(left, top, right, bottom, size=(64, 64)):
    """A mask, white in a box; PIL fills its last pixels too."""
    mask = Image.new("L", size)
    mask.paste(255, (left, top, right, bottom))
    return mask


SIZES = [(64, 64), (64, 64), (64, 64), (1, 1), (65, 63), (3, 2000), (2000, 3), (128, 64)]
KINDS = ["RGB", "RGB", "L", "RGBA", "P", "1", "CMYK", "LA", "HSV", "YCbCr"]
PICTURES = [picture(mode, *size) for mode in KINDS for size in SIZES]
SQUARES = [picture(mode, 64, 64) for mode in KINDS]
SHARES = np.linspace(0, 1, 64 * 64 * 3).reshape(64, 64, 3)
LATENTS = np.random.default_rng(0).standard_normal((2, 4, 8, 8))
IMAGES = st.one_of(
    st.sampled_from(SQUARES),
    st.sampled_from(PICTURES),
    st.lists(st.sampled_from(SQUARES), min_size=1, max_size=3),
    st.sampled_from([
        SHARES, SHARES.astype(np.float16), SHARES.astype(">f4"), SHARES[None].repeat(2, 0), SHARES[::-1, ::-1],
        (SHARES * 255).astype(np.uint8), SHARES[:1, :1], LATENTS, LATENTS[:1].astype(np.float32), [SHARES, SHARES],
        (SHARES * 255).astype(np.uint8)[None].repeat(3, 0), (SHARES[:, :8], SHARES[:, 8:16]),
    ]),
)  # fmt: skip
MASKS = st.one_of(
    st.sampled_from(SQUARES),
    st.sampled_from(PICTURES),
    st.sampled_from([
        framed(0, 0, 1, 1), framed(63, 63, 64, 64), framed(0, 30, 64, 31), framed(0, 0, 64, 64), framed(0, 0, 0, 0),
        framed(10, 20, 50, 40, (128, 64)), SHARES[..., 0], SHARES[..., :1], SHARES[...,
        0] > 0.5, SHARES[None, ..., 0],
        (SHARES[..., 0] > 0.5).astype(np.uint8), (SHARES[..., 0] * 255).astype(np.uint8), [framed(0, 0, 9, 9)] * 2,
    ]),
)  # fmt: skip
TEXTS = st.one_of(
    st.sampled_from([
        "", " ", "a red boat", "word " * 10_000, "🏰👩‍👩‍👧", "قلعة على تلة", "‮txet",
        "a\x00b\r\n\tc", ["a", "b"], ("a", "", "c"),
        "é" * 300, "</s><|endoftext|>", "(a:1.3) [b]",
    ]),
    st.text(max_size=20),
)  # fmt: skip
SHARE = st.one_of(st.floats(0, 1), st.sampled_from([0, 1, 1e-300, 0.999999, 1 - 1e-16, np.float32(0.5), 0.5, 0.5]))
SCHEDULES = st.sampled_from([
    [999, 500, 1], [999], [0], [5, 5], [1, 2], [], [999.5, 3.25], [1000], [-1], [nan, 1],
    [inf, 1], (900, 899.99999, 0),
    np.array([900, 300]), np.array([800.0, 200.0], np.float32), [14.0, 5.0, 1.0, 0.0], [1e300, 1], [1e-30, 1e-31, 0],
    [10**400], [0.0], [1e-7, 0], ["1"], [[3, 2], [1, 0]], list(range(999, 0, -1)), "900", {900}, range(10**9),
])  # fmt: skip
PAIRS = st.sampled_from([
    (64, 64), [512, 0], (-8, 9), (np.int64(3), 4), (1, 2, 3), (0.5, 1), "ab", (nan, 1), 5,
    (10**30, 1), (np.ones(2), 0),
])  # fmt: skip
NUMBERS = [
    0,
    -1,
    1,
    2,
    3,
    0.5,
    1e-8,
    1e-30,
    1e30,
    1e300,
    nan,
    inf,
    -inf,
    10**9,
    10**400,
    True,
    "3",
    [],
    0.999,
    50,
    1000,
]
WORDS = [
    "linear", "scaled_linear", "squaredcos_cap_v2", "epsilon", "v_prediction", "sample", "flow_prediction", "leading",
    "trailing", "linspace", "zero", "sigma_min", "bh1", "midpoint", "heun", "dpmsolver", "sde-dpmsolver++", "learned",
    "fixed_large", "log_linear", "continuous", "", "a\nb",
]  # fmt: skip
OF_NUMBERS = [
    "num_train_timesteps", "beta_start", "beta_end", "trained_betas", "steps_offset", "solver_order", "sigma_min",
    "sigma_max", "original_inference_steps", "timestep_scaling", "clip_sample_range", "dynamic_thresholding_ratio",
    "sample_max_value", "lambda_min_clipped", "shift", "shift_terminal", "flow_shift", "eta", "noise_sampler_seed",
    "disable_corrector",
]  # fmt: skip
OF_WORDS = [
    "beta_schedule", "prediction_type", "timestep_spacing", "algorithm_type", "solver_type", "final_sigmas_type",
    "variance_type", "interpolation_type", "timestep_type",
]  # fmt: skip
SWITCHES = [
    "use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "thresholding", "clip_sample", "skip_prk_steps",
    "set_alpha_to_one", "rescale_betas_zero_snr", "euler_at_final", "use_lu_lambdas", "use_flow_sigmas", "predict_x0",
    "lower_order_final", "stochastic_sampling",
]  # fmt: skip
SETTINGS = st.one_of(
    st.tuples(
        st.sampled_from(OF_NUMBERS),
        st.one_of(
            st.sampled_from(NUMBERS), st.floats(0, 2), st.just([0.01] * 1000), st.just([nan] * 1000), st.just([0.5, 1])
        ),
    ),
    st.tuples(st.sampled_from(OF_WORDS), st.sampled_from(WORDS)),
    st.tuples(st.sampled_from(SWITCHES), st.sampled_from([True, False, None])),
    st.sampled_from(
        [("trained_betas", np.full(1000, 0.01)), ("beta_end", np.float32(0.01)), ("sigma_min", Speechless())]
    ),
)
CONFIGURATIONS = st.builds(
    lambda name, settings: {**SCALED, "_class_name": name, **dict(settings)},
    st.sampled_from([
        "DDIMScheduler", "DDPMScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler", "LCMScheduler",
        "DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "UniPCMultistepScheduler", "PNDMScheduler",
        "LMSDiscreteScheduler", "KDPM2DiscreteScheduler", "DEISMultistepScheduler", "TCDScheduler",
        "FlowMatchEulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "DPMSolverSDEScheduler",
    ]),
    st.lists(SETTINGS, max_size=3),
)  # fmt: skip
# What a caller may mean.  Most of it is right on its own; together, arguments may still contradict each other.
MEANT = {
    "negative_prompt": TEXTS,
    "prompt_2": TEXTS,
    "negative_prompt_2": TEXTS,
    "clip_skip": st.integers(-1, 3),
    "long_prompt": st.sampled_from(["cut", "chunks", "fold"]),
    "image": IMAGES,
    "mask_image": MASKS,
    "strength": SHARE,
    "padding_mask_crop": st.sampled_from([0, 1, 8, 64, 10_000]),
    "height": st.sampled_from([64, 64, 64, np.int64(64), 63, 0, -64, 100]),
    "width": st.sampled_from([64, 64, 64, 72, 1 << 20]),
    "num_images_per_prompt": st.sampled_from([1, 2, 3, np.int64(2), 0]),
    "seed": st.one_of(
        st.integers(-(2**64), 2**65), st.lists(st.integers(0, 9), max_size=4), st.just(np.arange(2)), st.just(10**5000)
    ),
    "generator": st.sampled_from(["cpu", "cuda", "tpu"]),
    "noise_dtype": st.sampled_from(["float32", "float16", "int8"]),
    "latents": st.sampled_from([LATENTS[:1], LATENTS, LATENTS * nan, LATENTS[:1] * 1e300, LATENTS[0], LATENTS > 0]),
    "num_inference_steps": st.sampled_from([1, 2, 3, 4, 5, 8, 0, -1, 5000, 10**9]),
    "guidance_scale": st.sampled_from([0, 1, 1.0, 1.5, 7.5, -3, 1e4, 1e30, np.float32(3), nan]),
    "guidance_rescale": SHARE,
    "scheduler": st.one_of(st.sampled_from(available()), CONFIGURATIONS),
    "timesteps": SCHEDULES,
    "sigmas": SCHEDULES,
    "eta": SHARE,
    "denoising_start": SHARE,
    "denoising_end": SHARE,
    "original_size": PAIRS,
    "crops_coords_top_left": PAIRS,
    "target_size": PAIRS,
    "negative_original_size": PAIRS,
    "negative_crops_coords_top_left": PAIRS,
    "negative_target_size": PAIRS,
    "aesthetic_score": st.sampled_from([6, 2.5, np.float32(7), 1e38, nan]),
    "negative_aesthetic_score": st.sampled_from([6, 2.5, -inf]),
    "output_type": st.sampled_from(["pil", "np", "latent"]),
    "vae_tiling": st.booleans(),
}
# What nobody means, for any argument.
JUNK = [
    0, -1, 2, 1.5, nan, inf, -inf, 1e300, True, 10**30, 10**400, 10**5000, -(10**5000), 1j, Decimal("0.5"), "", "0.5",
    "a\nb", "x" * 5000, "\ud800", b"x", [], (), {}, set(), [[]], [[1]], [None], [1, "a"], ["a", 1], {"a": 1}, {1: 2},
    {"_class_name": 5}, {"_class_name": "Nothing"}, [np.zeros((9, 9))], range(10**9),
    object(), Speechless(), print, int,
    Path("x.png"), np.float32(1.5), np.float64(nan), np.int64(2), np.bool_(True),
    np.timedelta64(5, "s"), np.datetime64("NaT"),
    np.array(5), np.array([]), np.zeros((2, 2)), np.array(["a"]), np.array([None]), np.zeros(3, [("a", "f4")]),
    np.zeros((64, 64, 3), complex), np.zeros((64, 64, 3), "i8"), np.full((64, 64, 3), nan), np.full((64, 64), 2.0),
    np.zeros((64, 64, 4), np.uint8), np.zeros((0, 64, 64, 3)), np.zeros((0, 4, 8, 8)), np.zeros((1, 4, 0, 0)),
    np.zeros((0, 64, 3), np.uint8), np.zeros((0, 0), np.uint8), np.matrix("1 0; 0 1"), np.ma.zeros((64, 64, 3)),
    np.zeros((1, 4, 8, 8), object), np.full((1, 4, 8, 8), 1e39), np.full((1, 4, 8, 8), "x"),
    np.zeros((64, 64, 3), "f2"),
    Image.new("RGB", (0, 5)), picture("I;16", 64, 64), picture("F", 64, 64), picture("I", 64,
    64), Image.new("LAB", (9, 9)),
    [Image.new("RGB", (64, 64)), Image.new("RGB", (64, 63))], [SHARES, Image.new("RGB", (64, 64))], [SHARES, None],
]  # fmt: skip


@st.composite
def requests(draw):
    """(prompt, arguments, the one argument that is junk or None)."""
    arguments = {}
    if draw(st.integers(0, 2)):
        arguments["image"] = draw(IMAGES)
        if draw(st.booleans()):
            arguments["mask_image"] = draw(MASKS)
    others = draw(st.lists(st.sampled_from([*MEANT]), max_size=draw(st.sampled_from([1, 2, 4, 6])), unique=True))
    arguments = {name: draw(MEANT[name]) for name in others} | arguments
    arguments.setdefault("num_inference_steps", 4)
    prompt = draw(st.one_of(st.just("a boat"), TEXTS))
    if draw(st.integers(0, 3)):
        return prompt, arguments, None
    # Next to right arguments only, so that the message must be about the wrong one.
    name = draw(st.sampled_from(["prompt", *MEANT]))
    kept = {"num_inference_steps": 4}
    if name in ("mask_image", "strength", "padding_mask_crop", "denoising_start"):
        kept |= {"image": SQUARES[0], "mask_image": framed(10, 20, 50, 40)}
    # By number: Hypothesis would hash the values themselves, and some can't be.
    kept[name] = JUNK[draw(st.integers(0, len(JUNK) - 1))]
    return kept.pop("prompt", "a boat"), kept, name


class Counted:
    """A session that counts its calls, and holds what it is fed against the component's table of inputs."""

    def __init__(self, part, run):
        self.part = part
        self.calls = 0
        self._run = run

    def prepare(self, shapes):
        pass

    def close(self):
        pass

    def run(self, feeds):
        self.calls += 1
        assert feeds.keys() == {spec.name for spec in self.part.inputs}
        words = {"batch": len(next(iter(feeds.values()))), "height": 64, "width": 64}
        for spec in self.part.inputs:
            array = feeds[spec.name]
            words |= {"tokens": array.shape[1]} if "tokens" in spec.dims else {}
            assert array.dtype == np.dtype(spec.dtype), spec.name
            assert array.shape == tuple(size_of(dim, words) for dim in spec.dims), spec.name
            assert np.isfinite(array).all(), spec.name
        assert words.get("tokens", 77) % 77 == 0
        return self._run(feeds)


def predicted(feeds):
    """Some noise, by what the sample and the prompt are."""
    told = feeds["encoder_hidden_states"].mean(axis=(1, 2))[:, None, None, None]
    return {"out_sample": np.tanh(feeds["sample"][:, :4] + np.float32(0.1) * told)}


def decoded(feeds):
    return {"sample": np.tanh(feeds["latent_sample"][:, :3]).repeat(8, axis=2).repeat(8, axis=3)}


def encoded(feeds):
    small = feeds["sample"][:, :, 4::8, 4::8]
    return {"latent_parameters": np.concatenate([small, small, small], axis=1)[:, :8]}


def opened(workshop, model):
    return pipeline_of(open_bundle(workshop.bundle(model, "ort:cpu"), options=EngineOptions(threads=1)))


@pytest.fixture(scope="module")
def stubbed(workshop):
    """Pipelines whose UNet and VAE take no time, by model."""
    pipes = {model: opened(workshop, model) for model in MODELS}
    for pipe in pipes.values():
        for name, run in (("unet", predicted), ("vae_decoder", decoded), ("vae_encoder", encoded)):
            pipe.bundle.replace_session(name, Counted(pipe.manifest.component(name), run))
    yield pipes
    for pipe in pipes.values():
        pipe.close()


@pytest.fixture(scope="module")
def engines(workshop):
    """Pipelines with their own engines, of which only the UNet is watched."""
    pipes = {model: opened(workshop, model) for model in ("tiny-sd", "tiny-sdxl")}
    for pipe in pipes.values():
        unet = pipe.bundle.session("unet")
        pipe.bundle.replace_session("unet", Counted(pipe.manifest.component("unet"), unet.run))
    yield pipes
    for pipe in pipes.values():
        pipe.close()


def answer(pipe, prompt, arguments, junk):
    """Ask, and hold what comes against the promise."""
    unet = pipe.bundle.session("unet")
    unet.calls = 0
    try:
        made = finish(pipe.generate(prompt, **arguments))
    except Error as refused:
        said = str(refused)
        assert unet.calls == 0, f"refused after {unet.calls} calls: {said}"
        assert said == " ".join(said.split()), repr(said)
        assert 10 < len(said) <= LONGEST, said
        assert junk is None or junk in said or CALLED.get(junk, junk) in said, f"{junk}: {said}"
        return
    assert unet.calls > 0
    prompts = 1 if isinstance(prompt, str) else len(prompt)
    images = prompts * int(arguments.get("num_images_per_prompt", 1))
    assert len(made.images) == images
    json.dumps(made.settings)
    check_images(made.images, arguments)


def check_images(images, arguments):
    kind = arguments.get("output_type", "pil")
    if kind == "pil":
        cropped = "padding_mask_crop" in arguments
        size = arguments["image"].size if cropped and isinstance(arguments["image"], Image.Image) else (64, 64)
        assert all(image.mode == "RGB" and (cropped or image.size == size) for image in images)
        return
    assert images.dtype == np.float32
    assert images.shape[1:] == ((64, 64, 3) if kind == "np" else (4, 8, 8))
    assert np.isfinite(images).all()
    assert kind == "latent" or (images.min() >= 0 and images.max() <= 1)


def without_other_families(pipe, arguments):
    """Two of three requests to a model leave out what only SDXL takes, or it would be asked for little else."""
    return arguments if pipe.rules.xl else {name: value for name, value in arguments.items() if name not in XL_ONLY}


EXAMPLES = settings(
    derandomize=True, deadline=None, database=None, max_examples=800, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("model", MODELS)
def test_any_request_is_answered_or_refused_in_a_line(stubbed, model):
    pipe = stubbed[model]

    @EXAMPLES
    @given(requests(), st.integers(0, 2))
    def ask(request, more):
        prompt, arguments, junk = request
        answer(pipe, prompt, arguments if junk or not more else without_other_families(pipe, arguments), junk)

    ask()


@pytest.mark.parametrize("model", ["tiny-sd", "tiny-sdxl"])
def test_so_it_is_with_real_engines(engines, model):
    pipe = engines[model]

    @settings(EXAMPLES, max_examples=100)
    @given(requests())
    def ask(request):
        prompt, arguments, junk = request
        answer(pipe, prompt, arguments if junk else without_other_families(pipe, arguments), junk)

    ask()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"seed": 10**5000}, "seed is a very large int; it must be from"),
        ({"seed": 2**64}, "seed is 18446744073709551616; it must be from"),
        ({"generator": range(10**9)}, "generator is range"),
        ({"timesteps": range(10**9)}, "timesteps has 1000000000 entries"),
        ({"sigmas": np.array(5)}, "sigmas must be a list of numbers"),
        ({"scheduler": 5}, "scheduler is 5; it must be a name"),
        ({"scheduler": {**SCALED, "_class_name": "DDIMScheduler", "num_train_timesteps": 10**9}}, "from 1 to 65536"),
        ({"scheduler": {**SCALED, "_class_name": "DDIMScheduler", "beta_start": nan}}, "beta_start is nan"),
        ({"scheduler": {**SCALED, "_class_name": "DDIMScheduler", "beta_end": [0.1] * 1000}}, "beta_end is "),
        ({"scheduler": {"_class_name": "DDIMScheduler", "beta_start": 0}}, "makes NaN"),
        ({"scheduler": {**SCALED, "_class_name": "DDPMScheduler",
        "variance_type": "learned"}}, "predicts no variance"),
        ({"guidance_scale": 1e300}, "guidance_scale is 1e[+]300; it must be from"),
        ({"eta": 2, "scheduler": "ddim"}, "eta is 2; it must be from 0 to 1"),
        ({"latents": np.full((1, 4, 8, 8), 1e39)}, "latents holds latents from 0 to "),
        ({"image": np.zeros((0, 4, 8, 8))}, "image holds no latents"),
        (
            {
                "image": Image.new("RGB", (1, 30_000)),
                "mask_image": Image.new("L", (1, 30_000), 255),
                "padding_mask_crop": 0,
            },
            "too long and thin",
        ),
    ],
)  # fmt: skip
def test_what_once_broke_is_refused_at_once(stubbed, arguments, words):
    with pytest.raises(Error, match=words):
        stubbed["tiny-sd"].generate("a boat", **arguments)


def test_a_distilled_models_own_timesteps_may_be_too_few_for_a_strength(stubbed):
    with pytest.raises(Error, match=r"strength 0\.1 of 2 timesteps leaves none"):
        stubbed["tiny-lcm"].generate("a boat", image=SQUARES[0], strength=0.1, timesteps=[900, 500])


def test_numpys_numbers_are_kept_as_json_has_them(stubbed):
    told = {"num_images_per_prompt": np.int64(2), "eta": np.float32(0.5), "strength": np.float32(0.5)}
    made = stubbed["tiny-sd"]("a boat", image=SQUARES[0], num_inference_steps=4, scheduler="ddim", **told)
    assert json.loads(json.dumps(made.settings))["num_images_per_prompt"] == 2
