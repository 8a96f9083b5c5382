"""Sessions that tell what their nodes take, and those that don't."""

import tempfile
from pathlib import Path

import numpy as np
import pytest

from aquatint.runtime.errors import BadRequest, SessionFailed
from aquatint.runtime.manifest import read_manifest
from aquatint.runtime.ort.times import Recorder
from aquatint.runtime.session import EngineOptions, Profiled, open_session
from aquatint.runtime.sessions import openvino
from aquatint.runtime.target import Target
from aquatint.runtime.tensorrt.plan import open_plan

TARGETS = ["openvino:cpu", "ort:cpu"]


@pytest.fixture
def opened(workshop):
    """A session over tiny-sd's VAE decoder, for whole bundles and their first size."""
    made = []

    def make(target, profile):
        folder = workshop.bundle("tiny-sd", target)
        manifest = read_manifest(folder)
        part = manifest.component("vae_decoder")
        options = EngineOptions(profile=profile)
        made.append(open_session(folder / part.artifact, part, Target.parse(target), manifest.shapes, options))
        return made[-1]

    yield make
    for session in made:
        session.close()


def run(session, side=8):
    return session.run({"latent_sample": np.ones((1, 4, side, side), np.float32)})


@pytest.mark.parametrize("target", TARGETS)
def test_only_what_ran_since_forgetting_counts(target, opened):
    session = opened(target, True)
    assert isinstance(session, Profiled)
    run(session)
    session.forget_times()
    run(session)
    run(session)
    times = [time for time in session.node_times() if time.calls]
    assert len(times) > 20
    assert {time.calls for time in times} == {2}
    assert sum(time.seconds for time in times) > 0


@pytest.mark.parametrize("target", TARGETS)
def test_inputs_are_nodes_that_run_before(target, opened):
    session = opened(target, True)
    run(session)
    seen = set()
    times = session.node_times()
    names = {time.name for time in times}
    for time in times:
        assert set(time.inputs) & names <= seen, time
        seen.add(time.name)


def test_openvino_keeps_times_over_a_change_of_size(opened):
    session = opened("openvino:cpu", True)
    run(session, 8)
    run(session, 16)
    run(session, 8)
    convolutions = [time for time in session.node_times() if time.kind == "Convolution"]
    assert len(convolutions) == 3 * len({time.name for time in convolutions})
    assert {time.calls for time in convolutions} == {1}


@pytest.mark.parametrize("target", TARGETS)
def test_profiling_changes_no_output(target, opened):
    expected, found = run(opened(target, False)), run(opened(target, True))
    for name, array in expected.items():
        np.testing.assert_array_equal(array, found[name])


@pytest.mark.parametrize("target", TARGETS)
def test_a_session_that_counts_nothing_says_so(target, opened):
    session = opened(target, False)
    run(session)
    for ask in (session.forget_times, session.node_times):
        with pytest.raises(BadRequest, match=r"vae_decoder: .*open it with EngineOptions\(profile=True\)"):
            ask()


@pytest.mark.parametrize("ask", [True, False])
def test_onnx_runtime_leaves_no_file(ask, opened, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # where ONNX Runtime would write by itself
    session = opened("ort:cpu", True)
    run(session)
    assert list(tmp_path.rglob("*.json"))
    if ask:
        session.node_times()
    session.close()
    del session
    assert not list(tmp_path.iterdir())


def test_without_profile_onnx_runtime_writes_nothing(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run(opened("ort:cpu", False))
    assert not list(tmp_path.iterdir())


def test_runs_that_onnx_runtime_dropped_are_missed(tmp_path):
    class Dropping:
        def end_profiling(self):
            (tmp_path / "times.json").write_text('[{"cat": "Session", "name": "model_run"}]')
            return str(tmp_path / "times.json")

    recorder = Recorder("unet")
    recorder.runs = 2
    with pytest.raises(SessionFailed, match=r"unet: .*1 of 2 runs; profile fewer steps"):
        recorder.times(Dropping())


def test_engines_that_tell_nothing_refuse(workshop):
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    part, shapes = read_manifest(folder).component("unet"), read_manifest(folder).shapes
    options = EngineOptions(profile=True)
    with pytest.raises(BadRequest, match=r"unet: .*ONNX Runtime on cuda yet; profile a bundle for openvino:cpu"):
        open_session(folder / part.artifact, part, Target("ort", "cuda"), shapes, options)
    with pytest.raises(BadRequest, match="OpenVINO on gpu"):
        openvino.open_session(Path("model.xml"), part, "gpu", shapes, options)
    with pytest.raises(BadRequest, match="TensorRT"):
        open_plan(Path("unet.plan"), part, options, Path("unet.onnx"))
