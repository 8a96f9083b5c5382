"""The demo model's judge in a compile: asked for by the budget, counted against the checkpoint."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from aquatint.compile import judged
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.judged import check_judge, judge_bundle
from aquatint.demo import MODEL
from aquatint.demo.draw import draw
from aquatint.demo.evaluate import Sampling
from aquatint.demo.prompts import held_out
from aquatint.profiles.budget import Budget
from aquatint.runtime.errors import BadProfile, QualityMissed
from aquatint.runtime.manifest import Judged
from aquatint.runtime.shapes import Shapes

ASKED = Budget(0.5, 20, judge=4)
NATIVE = Shapes(((128, 128),))


@pytest.fixture
def find(workshop):
    def find_one(name):
        return find_checkpoint(str(name), revision=None, variant=None, config=None, work=workshop.cache)

    return find_one


def test_the_demo_model_by_name_and_by_folder_may_be_judged(find):
    check_judge(ASKED, find("demo"), NATIVE)
    check_judge(ASKED, find(MODEL), NATIVE)


def test_any_other_model_is_refused(find, workshop):
    other = find(workshop.checkpoint("tiny-sd"))
    with pytest.raises(BadProfile, match=r"judge is for the demo model alone.*, not for .*tiny-sd; use psnr"):
        check_judge(ASKED, other, NATIVE)
    check_judge(replace(ASKED, judge=None), other, NATIVE)


@pytest.mark.parametrize("merged", [{"loras": ("style",)}, {"embeddings": ("word",)}])
def test_the_demo_model_with_something_merged_into_it_is_another(find, merged):
    with pytest.raises(BadProfile, match="with nothing merged into it"):
        check_judge(ASKED, replace(find("demo"), **merged), NATIVE)


def test_pictures_of_another_size_can_not_be_judged(find):
    with pytest.raises(BadProfile, match=r"pictures of 128x128: this bundle was built for 64x64"):
        check_judge(ASKED, find("demo"), Shapes(((64, 64),)))


def test_a_compile_of_another_model_is_refused_before_its_first_stage(workshop, exact, tmp_path):
    profile = replace(exact, budget=replace(exact.budget, judge=0))
    with pytest.raises(BadProfile, match="judge is for the demo model alone"):
        workshop.compile(workshop.checkpoint("tiny-sd"), "ort:cpu", profile, tmp_path / "bundle")


@pytest.fixture
def bundle_of(monkeypatch):
    """A bundle that draws all but the first `wrong` prompts as they say; keeps the calls."""

    def make(wrong):
        scenes = held_out()
        known = dict(scenes)
        calls = []

        def pipe(prompts, **call):
            calls.append((prompts, call))
            pictures = []
            for prompt in prompts:
                index = [text for text, _ in scenes].index(prompt)
                empty = np.full((128, 128, 3), 255, np.uint8)
                right = draw(known[prompt], np.random.default_rng(0))
                pictures.append(Image.fromarray(empty if index < wrong else right))
            return SimpleNamespace(images=pictures)

        monkeypatch.setattr(judged, "pipeline_of", lambda bundle: pipe)
        return SimpleNamespace(
            manifest=SimpleNamespace(scheduler={"_class_name": "DDIMScheduler"}), target="ort:cpu", calls=calls
        )

    return make


@pytest.fixture
def reference():
    """How many the checkpoint draws right, by its recorded score."""
    return round(200 * json.loads((MODEL / "score.json").read_text())["score"]["scene"])


def test_each_prompt_is_printed_as_the_checkpoints_score_was_made(bundle_of):
    bundle = bundle_of(0)
    judge_bundle(bundle, 0)
    sampling = Sampling()
    prompts = [prompt for some, _ in bundle.calls for prompt in some]
    seeds = [seed for _, call in bundle.calls for seed in call["seed"]]
    assert prompts == [prompt for prompt, _ in held_out(sampling.count)]
    assert seeds == list(range(sampling.first_seed, sampling.first_seed + sampling.count))
    for _, call in bundle.calls:
        assert (call["num_inference_steps"], call["guidance_scale"]) == (sampling.steps, sampling.guidance_scale)
        assert call["scheduler"] == "DDIMScheduler"


@pytest.mark.parametrize("lost", [-3, 0, 4])
def test_as_many_may_be_lost_as_the_budget_says(bundle_of, reference, lost):
    found = judge_bundle(bundle_of(200 - reference + lost), 4)
    assert found == Judged(right=reference - lost, of=200, reference=reference)
    assert found.lost == lost


def test_one_more_is_too_many(bundle_of, reference):
    with pytest.raises(QualityMissed, match=rf"checkpoint draws {reference}: 5 are lost, the budget allows 4"):
        judge_bundle(bundle_of(200 - reference + 5), 4)


def test_the_settings_of_the_recorded_score_are_those_of_the_judge():
    from dataclasses import asdict

    assert json.loads((MODEL / "score.json").read_text())["sampling"] == asdict(Sampling())
