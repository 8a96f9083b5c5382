"""A bundle of ONNX for TensorRT: built and verified at its first load, opened at the next."""

import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from aquatint import load
from aquatint.runtime.building import build_engines
from aquatint.runtime.bundle import open_bundle
from aquatint.runtime.errors import NotBuilt, OutOfMemory, QualityMissed, SessionFailed, TargetMismatch
from aquatint.runtime.manifest import read_manifest, write_manifest
from aquatint.runtime.pixels import psnr_db
from aquatint.runtime.sessions import tensorrt as backend
from aquatint.runtime.tensorrt.options import BuildOptions
from aquatint.tests.stand_ins.machine import Card

CALL = {"seed": 3, "num_inference_steps": 3}
PROMPT = "a boat on a lake"
PARTS = 4


def made_for_tensorrt(source, folder, **changes):
    """A copy of a bundle of ONNX that is for TensorRT to build."""
    shutil.copytree(source, folder)
    changes = {"target": "tensorrt:any", "build": BuildOptions(), "requires": {}, **changes}
    write_manifest(replace(read_manifest(folder), **changes), folder)
    return folder


@pytest.fixture
def source(workshop):
    return workshop.bundle("tiny-sd", "ort:cpu")


@pytest.fixture
def bundle(source, trt, tmp_path):
    return made_for_tensorrt(source, tmp_path / "tiny")


@pytest.fixture(scope="session")
def expected(workshop):
    """What ONNX Runtime prints of the same graphs."""
    pipe = load(workshop.bundle("tiny-sd", "ort:cpu"))
    found = {name: pipe(PROMPT, **CALL, scheduler=name).images[0] for name in ("ddim", "euler_ancestral")}
    pipe.close()
    return found


def finish(steps):
    said = []
    while True:
        try:
            said.append(str(next(steps)))
        except StopIteration as stop:
            return said, stop.value


@pytest.mark.parametrize("scheduler", ["ddim", "euler_ancestral"])
def test_the_pictures_are_those_of_the_graphs(bundle, expected, scheduler):
    pipe = load(bundle)
    # One float32 engine behind both: what is left is the order in which the device adds.
    assert psnr_db(pipe(PROMPT, **CALL, scheduler=scheduler).images[0], expected[scheduler]) > 60
    pipe.close()


@pytest.mark.parametrize("options", [BuildOptions(strip_weights=True), BuildOptions(weight_streaming=True)])
def test_the_pictures_are_the_same_of_other_kinds_of_plans(source, trt, tmp_path, expected, options):
    pipe = load(made_for_tensorrt(source, tmp_path / "tiny", build=options))
    assert psnr_db(pipe(PROMPT, **CALL, scheduler="ddim").images[0], expected["ddim"]) > 60
    pipe.close()


def test_pictures_go_on_from_pictures_too(bundle, source, expected):
    ours, theirs = load(bundle), load(source)
    told = {"image": expected["ddim"], "strength": 0.6, **CALL}
    assert psnr_db(ours(PROMPT, **told).images[0], theirs(PROMPT, **told).images[0]) > 60
    ours.close()
    theirs.close()


def test_the_second_load_builds_and_verifies_nothing(bundle, trt):
    load(bundle).close()
    assert len(trt.builds) == PARTS
    opened = open_bundle(bundle)
    assert finish(build_engines(opened)) == ([], [])
    load(bundle).close()
    assert len(trt.builds) == PARTS


def test_a_build_says_what_it_does_and_gives_the_goldens(bundle):
    opened = open_bundle(bundle)
    said, goldens = finish(build_engines(opened))
    assert said[0] == "building text_encoder (1 of 4)"
    assert said[1] == "building text_encoder (1 of 4): Building Engine from Network 0/3"
    assert "building vae_encoder (4 of 4)" in said
    assert said[-1] == "printing the golden images"
    (golden,) = goldens
    assert golden.psnr_db > read_manifest(bundle).verification.min_psnr_db


def test_what_was_built_before_is_not_built_again(bundle, trt):
    opened = open_bundle(bundle)
    steps = build_engines(opened)
    while not str(next(steps)).startswith("building unet (2 of 4)"):
        pass
    steps.close()
    assert len(trt.builds) == 1
    said, _ = finish(build_engines(open_bundle(bundle)))
    assert said[0] == "building unet (1 of 3)"
    assert len(trt.builds) == PARTS


def test_a_build_that_was_interrupted_before_the_goldens_is_verified_at_the_next(bundle):
    opened = open_bundle(bundle)
    steps = build_engines(opened)
    while str(next(steps)) != "printing the golden images":
        pass
    steps.close()
    said, goldens = finish(build_engines(open_bundle(bundle)))
    assert said == ["printing the golden images"]
    assert len(goldens) == 1


def test_opening_before_it_is_built_says_so(bundle):
    opened = open_bundle(bundle)
    with pytest.raises(NotBuilt, match=r"^unet has no engine for this GPU yet$"):
        opened.session("unet")


def test_engines_that_print_something_else_are_gone(bundle, source, gpu, trt):
    manifest = read_manifest(bundle)
    golden = bundle / manifest.verification.goldens[0].image
    with Image.open(golden) as picture:
        inverse = Image.fromarray(255 - np.asarray(picture))
    inverse.save(golden)
    from aquatint.runtime.bundle import sha256_of
    from aquatint.runtime.manifest import File

    listed = {**manifest.files, manifest.verification.goldens[0].image: File(sha256_of(golden), golden.stat().st_size)}
    write_manifest(replace(manifest, files=listed), bundle)
    opened = open_bundle(bundle)
    with pytest.raises(QualityMissed, match=r"dB on tensorrt:any against the reference"):
        finish(build_engines(opened))
    assert list(bundle.with_name("tiny.engines").glob("*.plan")) == []
    assert len(opened.builder.missing()) == PARTS
    assert gpu.held_bytes() == 0


def test_closing_gives_all_of_the_gpus_memory_back(bundle, gpu):
    pipe = load(bundle)
    pipe(PROMPT, **CALL)
    assert gpu.held_bytes() > 0
    pipe.close()
    assert gpu.held_bytes() == 0
    assert not gpu.recorded


def test_one_component_at_a_time_prints_the_same(bundle, gpu, expected):
    pipe = load(bundle, residency="one")
    assert psnr_db(pipe(PROMPT, **CALL, scheduler="ddim").images[0], expected["ddim"]) > 60
    pipe.close()
    assert gpu.held_bytes() == 0


def test_the_denoiser_is_recorded(bundle, gpu):
    pipe = load(bundle)
    pipe(PROMPT, **CALL)
    assert gpu.launches >= CALL["num_inference_steps"]
    pipe.close()


def test_nothing_is_recorded_where_it_is_not_wanted(bundle, gpu, expected):
    pipe = load(bundle, graphs=False)
    assert psnr_db(pipe(PROMPT, **CALL, scheduler="ddim").images[0], expected["ddim"]) > 60
    assert gpu.launches == 0
    pipe.close()


def test_another_gpu_builds_its_own(bundle, gpu, trt):
    load(bundle).close()
    gpu.cards = [Card("T4", 7, 5)]
    load(bundle).close()
    assert len(trt.builds) == 2 * PARTS


def test_a_bundle_for_ampere_is_refused_on_an_older_gpu(source, trt, gpu, tmp_path):
    bundle = made_for_tensorrt(source, tmp_path / "tiny", target="tensorrt:ampere")
    gpu.cards = [Card("T4", 7, 5)]
    with pytest.raises(TargetMismatch, match=r"^tensorrt:ampere is not on this machine: the GPU here is T4 \(sm75\)"):
        load(bundle)


def test_without_a_gpu_the_reason_is_told(bundle, gpu):
    gpu.driver = 0
    with pytest.raises(TargetMismatch, match=r"^tensorrt:any is not on this machine: no NVIDIA driver is installed"):
        load(bundle)


def test_too_little_free_memory_is_told_before_anything_is_loaded(bundle, gpu):
    load(bundle).close()
    gpu.others_bytes = gpu.total_bytes - 1_000_000
    with pytest.raises(OutOfMemory, match=r"^the bundle needs 0\.01 GB of the GPU's memory, and 0\.00 GB are free; "):
        open_bundle(bundle)
    assert gpu.held_bytes() == 0


def test_a_graph_that_tensorrt_can_not_read_is_told(bundle, trt):
    trt.install("10.13.3.9")
    with pytest.raises(
        SessionFailed, match=r"^text_encoder: TensorRT 10\.13\.3\.9 can't read model\.onnx: .*Attention"
    ):
        load(bundle)


def test_a_bundle_that_builds_nothing_yields_nothing(source):
    opened = open_bundle(source)
    assert opened.builder is None
    assert finish(build_engines(opened)) == ([], [])


def test_a_bundle_of_plans_prints_the_same(bundle, source, trt, tmp_path, expected, caplog):
    """Plans inside of the bundle, as a compile on this machine would have left them."""
    load(bundle).close()
    folder = shutil.copytree(bundle, tmp_path / "plans")
    manifest = read_manifest(folder)
    opened = open_bundle(bundle)
    parts, files = [], dict(manifest.files)
    for part in manifest.components:
        plan, built = opened.builder.find(part)
        artifact = f"{part.name}/model.plan"
        shutil.copy(plan, folder / artifact)
        parts.append(replace(built, artifact=artifact))
        from aquatint.runtime.bundle import sha256_of
        from aquatint.runtime.manifest import File

        files[artifact] = File(sha256_of(folder / artifact), plan.stat().st_size)
    target = {"target": "tensorrt:sm89", "build": None, "requires": {"tensorrt": "10.14.1.48"}}
    write_manifest(replace(manifest, components=tuple(parts), files=files, **target), folder)
    with caplog.at_level(logging.INFO):
        pipe = load(folder)
    assert psnr_db(pipe(PROMPT, **CALL, scheduler="ddim").images[0], expected["ddim"]) > 60
    pipe.close()
    assert len(trt.builds) == PARTS
    assert json.loads((folder / "manifest.json").read_text())["build"] is None


def test_a_bundle_of_plans_is_refused_by_another_gpu_before_one_is_opened(bundle, source, gpu, tmp_path):
    load(bundle).close()
    opened = open_bundle(bundle)
    manifest = read_manifest(bundle)
    parts = tuple(replace(opened.builder.find(part)[1], artifact=part.artifact) for part in manifest.components)
    write_manifest(replace(manifest, components=parts, target="tensorrt:any", build=None), bundle)
    gpu.cards = [Card("RTX 3090", 8, 6)]
    with pytest.raises(TargetMismatch, match=r"was built for GPUs of sm89, this is RTX 3090 \(sm86\)"):
        open_bundle(bundle)


@pytest.mark.parametrize("lacking", [1 << 10, 1 << 16, 1 << 20])
def test_a_load_that_fails_gives_back_what_it_took(bundle, gpu, monkeypatch, lacking):
    pipe = load(bundle)
    needed = gpu.held_bytes()
    pipe.close()
    # As where another process takes the memory between the look at it and the loading.
    monkeypatch.setattr(backend, "check_room", lambda *_: None)
    gpu.others_bytes = gpu.total_bytes - needed + lacking
    with pytest.raises((OutOfMemory, SessionFailed), match=r"no .* MB left|out of memory"):
        load(bundle)
    assert gpu.held_bytes() == 0
