"""Plans, bundles and targets as text for people."""

from dataclasses import replace

import pytest

from aquatint.catalogue import targets_text
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.plan import make_plan
from aquatint.inspection import manifest_text, plan_text
from aquatint.profiles.profile import QuantizeRule, read_profile
from aquatint.runtime.manifest import Bound, read_manifest
from aquatint.terminal import size_text


@pytest.fixture
def plan(tmp_path):
    """The demo model's, for ONNX Runtime.  changes: of the profile `balanced`."""

    def make(**changes):
        checkpoint = find_checkpoint("demo", revision=None, variant=None, config=None, work=tmp_path)
        profile = replace(read_profile("balanced"), **changes)
        return make_plan(checkpoint, "ort:cpu", profile, output=tmp_path / "bundle")

    return make


def test_a_plan_names_each_component_with_its_scheme_and_size(plan):
    made = plan(quantize={"unet": "int8-weights"})
    lines = [line.split() for line in plan_text(made).splitlines()]
    for component in made.components:
        scheme = "int8-weights" if component.name == "unet" else "none"
        assert [component.name, "fp16", scheme, *size_text(made.size_bytes(component)).split()] in lines


def test_a_plan_says_what_is_not_as_asked_and_only_then(plan):
    rule = QuantizeRule("int4", kind="linear", component="text_encoder", settings={"group_size": 128})
    text = plan_text(plan(rules=(rule,)))
    # 2 layers of CLIP, 96 wide: four products of attention each and one of its perceptron take 96 inputs.
    words = "groups of 32, as 128 does not divide 96 inputs  10 layers of text_encoder"
    assert text.split("\n\n")[-1].splitlines()[0] == "not as asked"
    assert words in text.splitlines()
    assert "not as asked" not in plan_text(plan(quantize={"default": "int8-weights"}))


def test_a_plan_for_engines_of_each_machine_says_who_verifies_them(tmp_path):
    checkpoint = find_checkpoint("demo", revision=None, variant=None, config=None, work=tmp_path)
    made = make_plan(checkpoint, "tensorrt:any", read_profile("balanced"), output=tmp_path / "b", on_device=True)
    assert "on ort:cpu, and again by every machine that builds its engines of it" in plan_text(made)


def test_a_bundle_of_plans_says_what_they_are_for_and_what_they_take(workshop):
    manifest = read_manifest(workshop.bundle("tiny-sd", "ort:cpu"))
    bound = Bound("sm89", {"tensorrt": "10.14.1.48"})
    memory = {"weights_bytes": 3_000_000, "scratch_bytes": 500_000}
    parts = tuple(replace(part, bound=bound, memory=memory) for part in manifest.components)
    text = manifest_text(replace(manifest, target="tensorrt:sm89", requires={}, components=parts))
    lines = [line.split(maxsplit=1) for line in text.splitlines()]
    assert ["target", "tensorrt:sm89"] in lines
    assert ["plans", "for sm89, by tensorrt 10.14.1.48 only"] in lines
    assert "12.5 MB, or 3.5 MB with --low-memory" in text


def test_alike_devices_of_a_backend_share_a_line():
    rows = [
        {"target": f"abacus:{device}", "engine": "abacus 1", "here": device == "a", "device": ""}
        for device in ("a", "b", "c", "d", "e", "f")
    ]
    lines = [line.split() for line in targets_text(rows).splitlines()]
    assert lines[1:] == [
        ["abacus:a", "abacus", "1", "yes"],
        ["abacus:b,", "c,", "d", "...", "f", "abacus", "1", "no", "not", "on", "this", "machine"],
    ]
