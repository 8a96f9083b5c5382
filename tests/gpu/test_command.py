"""The command: what it refuses, and a rehearsal of all stages on engines for a processor."""

import json
from functools import partial

import pytest
from click.testing import CliRunner

from aquatint.bench.checkpoints import SD15
from aquatint.runtime.denoise import Step
from aquatint.runtime.device.loop import ResidentRun
from aquatint.runtime.device.program import trace
from aquatint.runtime.scheduler import make_scheduler
from aquatint.tests.gpu import baseline, printing, timing
from aquatint.tests.gpu.__main__ import main, words
from aquatint.tests.gpu.calls import engine_calls, on_host, way_calls
from aquatint.tests.gpu.compared import compare
from aquatint.tests.gpu.process import run_work
from aquatint.tests.gpu.proof import prove
from aquatint.tests.gpu.settings import Settings, quick, variants


def test_without_a_gpu_one_line_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # as if there were none, on a machine that has one
    done = CliRunner().invoke(main, ["-o", str(tmp_path)])
    assert done.exit_code == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("aquatint: ")
    assert "driver" in lines[0] or "cuda-bindings" in lines[0]


@pytest.mark.parametrize(
    "options, said",
    [
        (["--models", "sd1.5"], "no model 'sd1.5'; known: demo,"),
        (["--baselines", "jax"], "no baseline 'jax'; known: eager,"),
        (["--models", ""], "no model is named"),
    ],
)
def test_unknown_words_are_refused_with_those_that_are_known(options, said, tmp_path):
    done = CliRunner().invoke(main, ["-o", str(tmp_path / "out"), *options])
    assert done.exit_code == 2
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_lists_are_words_between_commas():
    assert words("eager, compile,") == ("eager", "compile")
    assert words(None) == words("none") == ()


def test_a_quick_proof_is_of_small_models_and_of_no_variants():
    asked = Settings((), ("demo", "sd15"), baselines=())
    assert (asked.timed, quick(asked).models, quick(asked).steps) == (("sd15",), ("demo",), 6)
    assert "graphs off" in variants("ort:cuda", asked)
    assert set(variants("tensorrt:sm89", asked)) == {"graphs off"}
    assert variants("ort:cpu", asked) == variants("ort:cuda", quick(asked)) == {}


def test_a_bundle_prints_every_call_and_its_two_loops_alike(workshop, tmp_path):
    calls = engine_calls(4)
    hosted = [on_host(call) for call in way_calls(4)]
    job = printing.Job(str(workshop.bundle("tiny-sd", "ort:cpu")), (*calls, *hosted))
    found = run_work("printing", job, tmp_path)
    assert found["error"] is None
    files = found["result"]["files"]
    assert {name: len(made) for name, made in files.items() if len(made) != 1} == {
        "two of a prompt, euler_ancestral": 2,
        "three prompts, ddim": 3,
    }
    assert found["result"]["resident"] == []  # on a processor there is one loop
    other = {call.name: files[on_host(call).name] for call in way_calls(4)}
    assert min(one.psnr_db for one in compare("one", "other", files, other, 50.0)) > 99
    # The comparison can tell pictures apart: another scheduler's is another.
    swapped = {"text, ddim": files["text, euler_ancestral"]}
    assert not compare("one", "other", files, swapped, 30.0)[0].alike


def test_the_calls_of_two_loops_can_stay_on_a_device_as_they_are_and_not_as_they_are_changed():
    run, told = ResidentRun.__new__(ResidentRun), SD15.scheduler
    for call in way_calls(6):
        assert trace(make_scheduler(told, 6, call.words["scheduler"]), range(6), (-6.5, 7.5)) is not None
        assert on_host(call).words["guidance_rescale"] > 0
    assert printing.reader(Step(0, 1, 0.0, partial(run.latents, 0))) is run
    assert printing.reader(Step(0, 1, 0.0, partial(list, ()))) is None


CALL = timing.Call("a red circle", 3, 4, 7.5, 64)


def test_a_bundle_is_timed_from_the_start_of_its_process_and_in_each_step_but_the_first(workshop, tmp_path):
    job = timing.Job(str(workshop.bundle("tiny-sd", "ort:cpu")), CALL, 2)
    found = run_work("timing", job, tmp_path)
    assert found["error"] is None
    told = [event["event"] for event in found["events"]]
    assert told == ["loaded", "first picture", "picture", "picture"]
    at = [event["at_s"] for event in found["events"]]
    assert 0 < at[0] < at[1] < at[2] < at[3] < found["seconds"]
    assert [len(steps) for steps in found["result"]["step_s"]] == [3, 3]
    assert all(0 < sum(steps) < whole for steps, whole in zip(*(found["result"][k] for k in ("step_s", "picture_s"))))


@pytest.mark.rehearsal
def test_diffusers_makes_the_same_picture_of_the_same_call(workshop, tmp_path):
    ours = run_work("timing", timing.Job(str(workshop.bundle("tiny-sd", "ort:cpu")), CALL, 1), tmp_path / "ours")
    job = baseline.Job(str(workshop.checkpoint("tiny-sd")), "eager", CALL, 1)
    theirs = run_work("baseline", job, tmp_path / "theirs", environment={"CUDA_VISIBLE_DEVICES": ""})
    assert theirs["error"] is None
    files = [{"first": [found["result"]["picture"]]} for found in (ours, theirs)]
    # Float32 on two engines: 85 dB and more is usual.
    assert compare("ours", "theirs", *files, 50.0)[0].alike


@pytest.mark.rehearsal
def test_all_stages_run_on_engines_for_a_processor(tmp_path):
    settings = quick(Settings(("ort:cpu",), ("tiny-sd",), steps=3, repeats=1, baselines=()))
    result = prove(settings, tmp_path, tmp_path / "work", print)
    assert [entry["error"] for entry in result["stages"] if not entry["ok"]] == []
    stages = {entry["stage"] for entry in result["stages"]}
    assert stages == {"environment", "checkpoint", "compile", "pictures", "figures"}
    assert all(one["alike"] for one in result["pictures"])
    assert {one["against"] for one in result["pictures"]} >= {"graphs off", "loop on the host"}
    written = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert written["stages"] == json.loads(json.dumps(result["stages"]))
