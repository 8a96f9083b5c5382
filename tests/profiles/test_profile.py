"""Recipes: the shipped ones, and what is refused in others'."""

import tomllib
from dataclasses import replace

import pytest

from aquatint.profiles.profile import FOLDER, ShapePlan, names, read_profile
from aquatint.runtime.errors import BadProfile, Error, UnknownName
from aquatint.runtime.scheduler import available
from aquatint.runtime.shapes import ShapeRange

LEAST = """
description = "for a test"
precision = {default = "fp32"}
budget = {relative_error = 1e-3, psnr_db = 50}
"""


@pytest.fixture
def read(tmp_path):
    """A profile of the least that one needs and of these lines."""

    def read_lines(*lines, least=LEAST):
        path = tmp_path / "mine.toml"
        path.write_text("\n".join([least, *lines]), encoding="utf-8")
        return read_profile(str(path))

    return read_lines


def test_the_issues_profiles_are_shipped():
    assert {"fast", "balanced", "exact", "small"} <= set(names())


@pytest.mark.parametrize("name", names())
def test_a_shipped_profile_says_what_its_file_says(name):
    table = tomllib.loads((FOLDER / f"{name}.toml").read_text())
    profile = read_profile(name)
    assert (profile.name, profile.description) == (name, table["description"])
    assert profile.precision == table["precision"]
    assert (profile.budget.relative_error, profile.budget.psnr_db) == tuple(table["budget"].values())
    assert profile.shapes.resolve(512).default_size == (512, 512)
    assert profile.defaults.scheduler in (None, *available())


def test_a_file_is_named_by_its_stem_and_the_rest_has_defaults(read):
    profile = read()
    assert (profile.name, profile.precision, profile.shapes) == ("mine", {"default": "fp32"}, ShapePlan())
    assert profile.defaults.num_inference_steps is None
    assert read('name = "other"').name == "other"


def test_a_component_without_a_precision_has_the_default(read):
    profile = replace(read(), precision={"default": "fp16", "unet": "bf16-weights"})
    assert profile.precision_of("unet") == "bf16-weights"
    assert profile.precision_of("vae_decoder") == "fp16"


@pytest.mark.parametrize("name", ["fsat", "", "../exact", "/no/such.toml", "exact.tml"])
def test_an_unknown_profile_lists_the_known_ones(name):
    with pytest.raises(UnknownName, match=r"known: balanced, exact, fast, small, or the path of a \.toml file$"):
        read_profile(name)


@pytest.mark.parametrize(
    "line, message",
    [
        (
            "shapse = 1",
            "profile mine has no key shapse; known keys: budget, calibration, defaults, description, name, precision",
        ),
        ("[shapes]\nsize = 1", "has no key size; known keys: batch, guidance, height, prompt_chunks, sizes, width"),
        ("[verify]\nimage = 1", "verify has no key image; known keys: images, steps"),
        ("[defaults]\nsteps = 4", "has no key steps; known keys: guidance_scale, num_inference_steps, scheduler"),
        ("[shapes.height]\nmin=1\nopt=1\nmax=1\nstep=1", "has no key step; known keys: max, min, opt"),
    ],
)
def test_an_unknown_key_lists_the_known_ones(read, line, message):
    with pytest.raises(BadProfile, match=message):
        read(line)


@pytest.mark.parametrize("key", ["description", "precision", "budget"])
def test_a_profile_without_its_essentials_is_refused(read, key):
    lines = [line for line in LEAST.strip().splitlines() if not line.startswith(key)]
    with pytest.raises(BadProfile, match=f"lacks the key {key}"):
        read(least="\n".join(lines))


def test_precision_without_a_default_is_refused(read):
    with pytest.raises(BadProfile, match='precision needs the key "default"'):
        read(least=LEAST.replace("default", "unet"))


def test_an_unknown_precision_lists_the_known_ones(read):
    with pytest.raises(Error, match="unknown precision 'fp8'; known: fp32, fp16, bf16, fp16-weights, bf16-weights"):
        read(least=LEAST.replace("fp32", "fp8"))


@pytest.mark.parametrize(
    "lines",
    [
        '[shapes]\nsizes = ["512"]',
        '[shapes]\nsizes = ["512x"]',
        '[shapes]\nsizes = ["512x512x3"]',
        '[shapes]\nsizes = ["-512x512"]',
        '[shapes]\nsizes = ["512 x 512"]',
        '[shapes]\nsizes = ["0x512"]',
        '[shapes]\nsizes = "512x512"',
        "[shapes]\nsizes = [512]",
        "[shapes]\nbatch = 0",
        "[shapes]\nbatch = true",
        "[shapes]\nprompt_chunks = 0",
        "[shapes]\nprompt_chunks = 17",
        "[shapes]\nprompt_chunks = 1.5",
        '[shapes]\nguidance = "both"',
        "[shapes]\nheight = {min = 256, opt = 512, max = 768}",
        '[shapes]\nsizes = ["512x512"]\nheight = {min = 1, opt = 1, max = 1}\nwidth = {min = 1, opt = 1, max = 1}',
        "[shapes]\nheight = {min = 512, opt = 256, max = 768}\nwidth = {min = 1, opt = 1, max = 1}",
        "[verify]\nimages = 0",
        "[verify]\nimages = -1",
        "[verify]\nsteps = 0",
        "[defaults]\nnum_inference_steps = 0",
        "[defaults]\nguidance_scale = nan",
    ],
)
def test_an_impossible_value_is_refused_when_the_profile_is_read(read, lines):
    with pytest.raises(BadProfile, match=r"^profile mine: (shapes|verify|defaults)"):
        read(lines)


@pytest.mark.parametrize("budget", ["relative_error = nan", "relative_error = -1e-3", "relative_error = 0"])
def test_a_budget_that_would_judge_nothing_or_everything_is_refused(read, budget):
    with pytest.raises(BadProfile, match=r"^profile mine: budget"):
        read(least=LEAST.replace("relative_error = 1e-3", budget))


def test_a_psnr_that_is_no_number_is_refused(read):
    with pytest.raises(BadProfile, match=r"^profile mine: budget"):
        read(least=LEAST.replace("psnr_db = 50", "psnr_db = nan"))


@pytest.mark.parametrize("content", [b"precision = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_refused_by_its_path(tmp_path, content):
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(BadProfile, match=r"bad\.toml: "):
        read_profile(str(tmp_path / "bad.toml"))


def test_without_sizes_the_model_decides():
    assert ShapePlan().resolve(768).sizes == ((768, 768),)


def test_size_words_are_height_by_width_and_native_is_the_models():
    assert ShapePlan(("512x768", "native", "64x8")).resolve(640).sizes == ((512, 768), (640, 640), (64, 8))


def test_ranges_take_the_place_of_sizes():
    shapes = ShapePlan(height=ShapeRange(64, 128, 256), width=ShapeRange(64, 192, 256), batch=3, guidance="split")
    found = shapes.resolve(512)
    assert (found.sizes, found.default_size, found.batch, found.guidance) == ((), (128, 192), 3, "split")


@pytest.mark.parametrize("lines, chunks", [((), 4), (("[shapes]", "prompt_chunks = 1"), 1)])
def test_prompts_have_four_chunks_or_as_many_as_the_profile_says(read, lines, chunks):
    assert read(*lines).shapes.resolve(512).prompt_chunks == chunks


def test_a_precision_for_a_component_that_no_family_has_is_refused(tmp_path):
    text = (
        'description = "d"\n[precision]\ndefault = "fp16"\nuent = "fp32"\n[budget]\nrelative_error = 1.0\npsnr_db = 1\n'
    )
    (tmp_path / "typo.toml").write_text(text)
    with pytest.raises(BadProfile, match=r"no component uent; known: text_encoder, text_encoder_2, unet"):
        read_profile(str(tmp_path / "typo.toml"))
