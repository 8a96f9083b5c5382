"""Quantizing as a stage of the compile: read from words, refused early, the same graph for every target."""

from dataclasses import replace

import numpy as np
import pytest

from aquatint import load
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.plan import make_plan
from aquatint.compile.quantized import MIXED, read_schemes, recipe_of
from aquatint.profiles.profile import Budget, QuantizeRule, read_profile
from aquatint.runtime.errors import BadProfile, UnknownName
from aquatint.runtime.manifest import read_manifest
from aquatint.runtime.pixels import psnr_db


def profile_of(quantize, *rules, budget_db=20.0):
    exact = read_profile("exact")
    name = "-".join(f"{part}-{scheme}" for part, scheme in quantize.items()) or "rules"
    return replace(exact, name=name, quantize=quantize, rules=rules, budget=Budget(0.5, budget_db))


@pytest.mark.parametrize(
    ("word", "schemes"),
    [
        ("int4", {"default": "int4"}),
        ("unet=int4", {"unet": "int4"}),
        ("int8-weights, text_encoder=none", {"default": "int8-weights", "text_encoder": "none"}),
    ],
)
def test_the_option_is_a_scheme_or_one_for_each_component(word, schemes):
    assert read_schemes(word) == schemes


@pytest.mark.parametrize("word", ["", "unett=int4", "unet=", "unet=int4,unet=none", "int4,int8-weights"])
def test_other_words_are_refused(word):
    with pytest.raises(BadProfile, match="--quantize"):
        read_schemes(word)


def test_a_recipe_is_called_after_its_scheme():
    assert recipe_of(profile_of({"default": "int4"}), "unet").word == "int4"
    rule = QuantizeRule("none", layers="*conv_in*", component="unet")
    mixed = profile_of({"default": "int4"}, rule)
    assert recipe_of(mixed, "unet").word == MIXED
    assert recipe_of(mixed, "text_encoder").word == "int4"
    assert recipe_of(read_profile("exact"), "unet").word == "none"
    assert [recipe_of(mixed, "unet").asks, recipe_of(read_profile("exact"), "unet").asks] == [True, False]
    assert recipe_of(profile_of({}, rule), "unet").asks


def test_what_cant_be_is_refused_at_the_plan(workshop):
    def plan(profile, target="ort:cpu"):
        found = find_checkpoint(
            str(workshop.checkpoint("tiny-sd")), revision=None, variant=None, config=None, work=workshop.cache
        )
        return make_plan(found, target, profile, output=workshop.root / "never")

    with pytest.raises(UnknownName, match="int5"):
        plan(profile_of({"default": "int5"}))
    with pytest.raises(
        BadProfile, match=r"openvino:gpu does not run nf4, .* it runs .*int4, and nf4 runs on .*ort:cpu"
    ):
        plan(profile_of({"unet": "nf4"}), "openvino:gpu")
    with pytest.raises(BadProfile, match="matches no layer; the nearest are"):
        plan(profile_of({}, QuantizeRule("int4", layers="*no_such_layer*", component="unet")))
    with pytest.raises(BadProfile, match="group_size"):
        plan(profile_of({}, QuantizeRule("int4", settings={"group_size": 48})))


@pytest.mark.parametrize("scheme", ["int8-weights", "int4"])
def test_both_engines_print_the_same_picture_of_the_same_codes(workshop, scheme):
    pictures = {}
    for target in ("ort:cpu", "openvino:cpu"):
        folder = workshop.bundle("tiny-sd", target, profile_of({"default": scheme}))
        assert {part.scheme for part in read_manifest(folder).components} == {scheme}
        pipe = load(folder)
        pictures[target] = pipe("a red boat", seed=1, num_inference_steps=4).images[0]
        pipe.close()
    assert psnr_db(*pictures.values()) >= 50
    exact = load(workshop.bundle("tiny-sd", "ort:cpu"))
    assert not np.array_equal(
        np.asarray(exact("a red boat", seed=1, num_inference_steps=4).images[0]), np.asarray(pictures["ort:cpu"])
    )
    exact.close()


def test_a_rule_leaves_layers_out(workshop):
    sizes = {}
    for name, rules in {"all": (), "some": (QuantizeRule("none", layers="*conv*", component="unet"),)}.items():
        profile = replace(profile_of({"unet": "int8-weights"}, *rules), name=f"rule-{name}")
        folder = workshop.bundle("tiny-sd", "ort:cpu", profile)
        sizes[name] = sum(file.stat().st_size for file in (folder / "unet").iterdir())
    assert sizes["some"] > 1.1 * sizes["all"]
