"""A compile that lost too much names the layers that did it."""

import re
from dataclasses import replace

import pytest

from aquatint.compile import culprits
from aquatint.compile.culprits import NAMED, Culprits
from aquatint.profiles.budget import Budget
from aquatint.profiles.profile import QuantizeRule
from aquatint.runtime.errors import BadModel, QualityMissed
from aquatint.runtime.manifest import Component

ADVICE = r'\(each layer\'s own relative error\); give them "none" or a scheme of more bits by a rule in the profile$'


@pytest.fixture
def message(workshop, exact, tmp_path):
    """What a compile of tiny-sd says where it fails; it leaves no bundle."""

    def failing(budget, quantize, *rules):
        profile = replace(exact, name="lossy", quantize=quantize, rules=rules, budget=budget)
        with pytest.raises(QualityMissed) as missed:
            workshop.compile(workshop.checkpoint("tiny-sd"), "ort:cpu", profile, tmp_path / "bundle")
        assert list(tmp_path.iterdir()) == []
        return str(missed.value)

    return failing


def layers(text):
    """Name -> its own relative error, as the message lists them."""
    listed = re.search(r"most is lost in \w+: (.*?) \(each", text)[1]
    return {name: float(error) for name, error in (pair.split(" ") for pair in listed.split(", "))}


def test_a_component_over_its_budget_names_its_worst_layers(message):
    text = message(Budget(1e-4, 0), {"unet": "int8-weights"}, QuantizeRule("int4", "*ff.net.2", component="unet"))
    assert re.match(r"unet: relative error \S+ in fp32 and mixed, the budget allows 0\.0001; .*", text)
    assert re.search(ADVICE, text)
    found = layers(text)
    assert len(found) == NAMED
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert next(iter(found)).endswith("ff.net.2")


def test_a_picture_over_the_budget_names_layers_of_the_component_that_lost_most(message):
    text = message(Budget(0.5, 0, ssim=1.0), {"unet": "nf4", "vae_decoder": "int8-weights"})
    assert re.match(r"golden image .*: SSIM 0\.\d+ on ort:cpu against the reference, the budget is 1 or more", text)
    assert "most is lost in unet: " in text
    assert re.search(ADVICE, text)


def test_where_nothing_is_quantized_no_layer_is_blamed(message):
    assert "most is lost" not in message(Budget(1e-12, 0), {})


def part(name, error, scheme="int4"):
    return Component(name, "", "fp32", (), (), quality={"relative_error": error}, scheme=scheme)


class Recorded:
    """A source with one recorded call of every component."""

    def __init__(self, folder):
        self.folder = folder

    def cases(self, component):
        import numpy as np

        from aquatint.compile.cases import Case, write_case

        write_case(self.folder, component, Case({"x": np.zeros(1)}, {"y": np.zeros(1)}))
        return self.folder

    def graph(self, component):
        return self.folder / component


def test_the_first_failure_counts_where_the_layers_cant_be_compared(tmp_path, monkeypatch):
    def broken(*_):
        raise BadModel("no such graph")

    monkeypatch.setattr(culprits, "blame", broken)
    named = Culprits(Recorded(tmp_path), lambda component: tmp_path / "quantized")
    expected = "too bad; which layers of unet did it can't be told: no such graph"
    with pytest.raises(QualityMissed, match=expected), named.named([part("text_encoder", 0.1), part("unet", 0.2)]):
        raise QualityMissed("too bad")


def test_other_failures_pass_as_they_are(tmp_path):
    named = Culprits(Recorded(tmp_path), lambda component: tmp_path / "quantized")
    with pytest.raises(BadModel, match=r"^other$"), named.named([part("unet", 0.2)]):
        raise BadModel("other")
