"""Plans as text for people."""

from dataclasses import replace

import pytest

from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.plan import make_plan
from aquatint.inspection import plan_text
from aquatint.profiles.profile import QuantizeRule, read_profile
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
