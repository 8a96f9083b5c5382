"""What a trial does in its process: the calls it makes, and what it leaves where something goes wrong."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from aquatint.bench import comparison_trial
from aquatint.bench.comparison_trial import DONE, JOB, REASON, TRIAL, Job, begin, main
from aquatint.demo import MODEL
from aquatint.demo.draw import draw
from aquatint.demo.evaluate import Sampling
from aquatint.demo.prompts import held_out
from aquatint.runtime.bundle import open_bundle, pipeline_of
from aquatint.runtime.denoise import Step
from aquatint.runtime.record import to_table

WRONG = 3  # pictures that the stand-in draws black


@pytest.fixture
def drawing():
    """A pipeline that draws all but the first held-out prompts as they say; keeps the calls."""
    scenes, calls = dict(held_out()), []

    def pipe(prompt, **call):
        calls.append((prompt, call))
        right = draw(scenes[prompt], np.random.default_rng(0))
        return SimpleNamespace(images=[Image.fromarray(right * (len(calls) > WRONG))])

    return pipe, calls


def test_the_judge_counts_what_is_drawn_right_and_asks_as_the_score_was_measured(drawing, capsys):
    pipe, calls = drawing
    bundle = SimpleNamespace(manifest=SimpleNamespace(scheduler={"_class_name": "DDIMScheduler"}))
    assert comparison_trial._judge(pipe, bundle) == 200 - WRONG
    sampling = Sampling(**json.loads((MODEL / "score.json").read_text(encoding="utf-8"))["sampling"])
    assert [call["seed"] for _, call in calls] == list(range(200))
    assert {call["num_inference_steps"] for _, call in calls} == {sampling.steps}
    assert {call["guidance_scale"] for _, call in calls} == {sampling.guidance_scale}
    assert capsys.readouterr().out.split() == [DONE] * 200


def test_the_first_step_of_a_picture_is_not_timed():
    watch = comparison_trial._Watch()
    for _ in range(2):
        for index in range(4):
            watch(Step(index, 4, 0.0, lambda: np.zeros(1)))
    assert len(watch.step_s) == 2 * 3
    assert all(0 <= second < 1 for second in watch.step_s)


@pytest.mark.parametrize("name", ["tiny-sd", "tiny-sd-inpaint"])
def test_a_model_is_called_for_what_it_can_do(workshop, name):
    bundle = open_bundle(workshop.bundle(name, "ort:cpu"))
    printing = begin(pipeline_of(bundle), bundle, "a boat", Job("", ("a boat",), 0, 3, 7.5, None))
    assert next(printing).latents.shape == (1, 4, 8, 8)
    printing.close()
    bundle.close()


def test_a_bug_leaves_its_line_and_keeps_its_traceback(tmp_path, monkeypatch):
    (tmp_path / JOB).write_text(json.dumps(to_table(Job("gone", ("a",), 0, 3, 7.5, None))))
    monkeypatch.setattr(comparison_trial, "run_trial", lambda job, folder: {}["key"])
    with pytest.raises(KeyError):
        main(tmp_path)
    assert (tmp_path / REASON).read_text() == "KeyError: 'key'"
    assert not (tmp_path / TRIAL).exists()
