"""Bundles for ONNX Runtime on CUDA: the device, the options, recorded runs, and the pictures."""

import logging
import shutil
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from aquatint import load
from aquatint.runtime.device.session import KEPT
from aquatint.runtime.errors import OutOfMemory, SessionFailed, TargetMismatch
from aquatint.runtime.manifest import read_manifest, write_manifest
from aquatint.runtime.pixels import psnr_db
from aquatint.runtime.session import EngineOptions, devices, open_session, require_device
from aquatint.runtime.shapes import Shapes
from aquatint.runtime.target import Target

CUDA = Target("ort", "cuda")
SHAPES = Shapes(((64, 64),))
CALL = {"seed": 3, "num_inference_steps": 3}


@pytest.fixture
def unet(workshop):
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    part = read_manifest(folder).component("unet")
    return folder / part.artifact, part


@pytest.fixture
def opened(cuda_runtime, unet):
    """A session over the tiny UNet.  changes: of the component."""
    made = []

    def make(options=None, **changes):
        path, part = unet
        made.append(open_session(path, replace(part, **changes), CUDA, SHAPES, options or EngineOptions()))
        return made[-1]

    yield make
    for session in made:
        session.close()


def feeds_of(rows=2, tokens=77, seed=0):
    rng = np.random.default_rng(seed)
    sample, states = rng.standard_normal((rows, 4, 8, 8)), rng.standard_normal((rows, tokens, 32))
    return {
        "sample": sample.astype(np.float32),
        "timestep": np.array([500], np.float32),
        "encoder_hidden_states": states.astype(np.float32),
    }


def agree(session, unet, **told):
    feeds = feeds_of(**told)
    expected = open_session(*unet, Target("ort", "cpu"), SHAPES, EngineOptions()).run(feeds)["out_sample"]
    found = session.run(feeds)["out_sample"]
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


def test_outputs_are_the_graphs(opened, unet):
    session = opened()
    for seed, rows in enumerate((2, 1, 2, 1)):
        agree(session, unet, rows=rows, seed=seed)


def test_each_size_is_a_recording_of_its_own(opened, unet, cuda_runtime):
    session = opened()
    for rows in (2, 1, 2, 1):
        session.run(feeds_of(rows))
    (model,) = cuda_runtime.sessions
    assert [graph for graph, _ in model.runs] == ["1", "2", "1", "2"]


def test_a_recording_whose_buffers_went_is_never_launched_again(opened, cuda_runtime):
    session = opened()
    for chunks in range(1, KEPT + 2):
        session.run(feeds_of(tokens=77 * chunks))
    session.run(feeds_of(tokens=77))
    graphs = [graph for graph, _ in cuda_runtime.sessions[0].runs]
    assert len(set(graphs)) == len(graphs) == KEPT + 2


def test_runs_do_not_wait_for_the_device(opened, cuda_runtime):
    opened().run(feeds_of())
    assert [synchronizes for _, synchronizes in cuda_runtime.sessions[0].runs] == [False]


def test_what_is_no_denoiser_is_not_recorded(opened, cuda_runtime):
    opened(name="vae_decoder").run(feeds_of())
    assert "enable_cuda_graph" not in cuda_runtime.options[0]
    assert cuda_runtime.sessions[0].runs[0][0] is None


def test_the_provider_works_on_the_memorys_stream(opened, cuda_runtime, memory):
    opened(EngineOptions(device_memory_mb=7))
    assert cuda_runtime.options[0]["user_compute_stream"] == str(int(memory.stream))
    assert cuda_runtime.options[0]["gpu_mem_limit"] == str(7 << 20)


@pytest.mark.parametrize("where", ["fails_to_load", "fails_to_run"])
def test_what_can_not_be_recorded_runs_as_it_is(opened, unet, cuda_runtime, caplog, where):
    setattr(cuda_runtime, where, 1)
    with caplog.at_level(logging.INFO):
        session = opened()
        for seed in range(3):
            agree(session, unet, seed=seed)
        agree(session, unet, rows=1)
    said = [record.getMessage() for record in caplog.records if "without a CUDA graph" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("unet: runs without a CUDA graph: unet: ONNX Runtime ")
    assert "enable_cuda_graph" not in cuda_runtime.options[-1]
    assert {graph for graph, _ in cuda_runtime.sessions[-1].runs} == {None}


def test_a_second_size_that_can_not_be_recorded_changes_all(opened, unet, cuda_runtime):
    session = opened()
    agree(session, unet)
    cuda_runtime.sessions[0].fails = 1
    agree(session, unet, rows=1)
    agree(session, unet)
    assert len(cuda_runtime.sessions) == 2
    assert [graph for graph, _ in cuda_runtime.sessions[1].runs] == [None, None]


def test_a_run_that_fails_after_it_was_recorded_is_an_error(opened, cuda_runtime):
    session = opened()
    session.run(feeds_of())
    cuda_runtime.sessions[0].fails = 1
    with pytest.raises(SessionFailed, match=r"^unet: ONNX Runtime failed while running: the CUDA graph"):
        session.run(feeds_of())
    assert len(cuda_runtime.sessions) == 1


def test_a_graph_that_can_not_be_read_is_no_matter_of_recording(cuda_runtime, unet, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(SessionFailed, match=r"^unet: ONNX Runtime can't read model\.onnx: "):
        open_session(tmp_path / "model.onnx", unet[1], CUDA, SHAPES, EngineOptions())


def test_falling_back_to_the_cpu_is_refused(cuda_runtime, unet):
    cuda_runtime.loaded = ["CPUExecutionProvider"]
    with pytest.raises(SessionFailed, match=r"^unet: CUDAExecutionProvider could not be loaded; .*cuDNN 9"):
        open_session(*unet, CUDA, SHAPES, EngineOptions())


def test_cuda_is_here_where_package_driver_and_gpu_are(cuda_runtime):
    assert devices(CUDA) == {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def test_without_a_gpu_there_is_no_cuda_though_the_package_has_it(cuda_runtime, gpu):
    gpu.cards = []
    assert devices(CUDA) == {"cpu": "CPUExecutionProvider"}
    with pytest.raises(TargetMismatch, match=r"^ort:cuda is not on this machine: the NVIDIA driver .* shows no GPU"):
        require_device(CUDA)


def test_without_the_package_for_cuda_it_is_named(gpu):
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("it is here")
    with pytest.raises(TargetMismatch, match=r"^ort:cuda is not on this machine: .*onnxruntime-gpu"):
        require_device(CUDA)


@pytest.fixture
def bundle(workshop, cuda_runtime, tmp_path):
    folder = shutil.copytree(workshop.bundle("tiny-sd", "ort:cpu"), tmp_path / "tiny")
    manifest = read_manifest(folder)
    parts = tuple(replace(part, memory={"weights_bytes": 1_000_000}) for part in manifest.components)
    write_manifest(replace(manifest, target="ort:cuda", components=parts), folder)
    return folder


@pytest.mark.parametrize("scheduler", ["ddim", "euler_ancestral"])
def test_a_bundle_prints_what_it_prints_on_the_cpu(workshop, bundle, gpu, scheduler):
    ours, theirs = load(bundle), load(workshop.bundle("tiny-sd", "ort:cpu"))
    pictures = [pipe("a boat", **CALL, scheduler=scheduler).images[0] for pipe in (ours, theirs)]
    # Float32 on both: only the order of the loop's sums differs.
    assert psnr_db(*pictures) > 60
    ours.close()
    theirs.close()
    assert gpu.held_bytes() == 0


def test_a_bundle_for_cuda_runs_on_the_cpu_when_asked(bundle, cuda_runtime):
    pipe = load(bundle, device="cpu")
    assert not cuda_runtime.sessions
    pipe.close()


def test_weights_that_do_not_fit_are_told_before_anything_is_loaded(bundle, gpu, cuda_runtime):
    gpu.others_bytes = gpu.total_bytes - 3_000_000
    with pytest.raises(OutOfMemory, match=r"^the bundle needs 0\.00 GB .*--low-memory"):
        load(bundle)
    assert not cuda_runtime.sessions
    load(bundle, residency="one").close()
