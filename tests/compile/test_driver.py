"""The contract of a compile, for every family and every target that this machine can run."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from aquatint.runtime.bundle import open_bundle
from aquatint.runtime.errors import BundleCorrupt, QualityMissed, TargetMismatch
from aquatint.runtime.manifest import read_manifest
from aquatint.targets import all_targets

MODELS = (
    "tiny-sd", "tiny-sd-v", "tiny-sd-inpaint", "tiny-lcm",
    "tiny-sdxl", "tiny-sdxl-inpaint", "tiny-sdxl-refiner",
)  # fmt: skip
HERE = ("openvino:cpu", "ort:cpu")


@pytest.mark.parametrize("target", HERE)
@pytest.mark.parametrize("model", MODELS)
def test_an_exact_bundle_prints_the_checkpoints_picture(workshop, model, target):
    manifest = read_manifest(workshop.bundle(model, target))
    # Float32 engines order their sums differently: about 1e-6 of a component's output, far under a grey level.
    assert all(part.quality["relative_error"] < 1e-4 for part in manifest.components)
    assert all(golden.psnr_db >= 50 for golden in manifest.verification.goldens)
    assert manifest.verification.goldens


@pytest.mark.parametrize("target", HERE)
def test_no_weight_is_stored_wider_than_the_profile_says(workshop, target):
    half, full = (workshop.bundle("tiny-sd", target, profile) for profile in ("balanced", "exact"))

    def weights(folder):
        return sum(file.stat().st_size for file in folder.rglob("*") if file.suffix in (".bin", ".data"))

    # Tensors under 256 elements stay in float32: a few percent of so small a model.
    assert weights(half) < 0.56 * weights(full)


def test_a_compile_under_budget_fails_by_name_and_leaves_no_bundle(workshop, impossible, tmp_path):
    with pytest.raises(QualityMissed, match=r"text_encoder: relative error .* the budget allows 1e-09"):
        workshop.compile(workshop.checkpoint("tiny-sd"), "ort:cpu", impossible, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_under_budget_fails_the_compile(workshop, exact, tmp_path):
    # 100 dB is reached by equal pictures only, and float16 weights change some pixels.
    profile = replace(
        exact, precision={"default": "fp16"}, budget=replace(exact.budget, relative_error=1.0, psnr_db=99.9)
    )
    with pytest.raises(QualityMissed, match=r"golden image .* dB .* unet"):
        workshop.compile(workshop.checkpoint("tiny-sd"), "ort:cpu", profile, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_compile_keeps_the_bundle_that_was_there(workshop, exact, impossible, tmp_path):
    workshop.compile(workshop.checkpoint("tiny-sd"), "ort:cpu", exact, tmp_path / "bundle")
    before = (tmp_path / "bundle" / "manifest.json").read_text()
    with pytest.raises(QualityMissed):
        workshop.compile(workshop.checkpoint("tiny-sd"), "ort:cpu", impossible, tmp_path / "bundle")
    assert (tmp_path / "bundle" / "manifest.json").read_text() == before


@pytest.mark.parametrize("target", [word for word in all_targets() if word.startswith("openvino")])
def test_a_bundle_for_a_device_that_is_not_here_is_built_and_says_where_it_was_verified(workshop, target):
    profile = "balanced"
    manifest = read_manifest(workshop.bundle("tiny-sd", target, profile))
    assert manifest.target == target
    assert manifest.verification.target == "openvino:cpu"
    if target == "openvino:npu":
        folder = workshop.bundle("tiny-sd", target, profile)
        with pytest.raises(TargetMismatch, match="openvino:npu is not on this machine"):
            open_bundle(folder)
        open_bundle(folder, device="cpu").close()


def test_the_manifest_lists_every_file_with_its_hash(workshop):
    folder = workshop.bundle("tiny-sd", "openvino:cpu")
    listed = read_manifest(folder).files
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert set(listed) == there - {"manifest.json"}
    open_bundle(folder, hashes=True).close()
    changed = folder / "tokenizer" / "tokenizer.json"
    original = changed.read_bytes()
    try:
        changed.write_bytes(original.replace(b"a", b"b", 1))
        with pytest.raises(BundleCorrupt, match=r"tokenizer.json was changed"):
            open_bundle(folder)
    finally:
        changed.write_bytes(original)


def test_sizes_of_a_list_and_of_a_range_give_the_same_picture(workshop, exact, tmp_path):
    from aquatint import load
    from aquatint.profiles.profile import ShapePlan
    from aquatint.runtime.errors import BadRequest
    from aquatint.runtime.shapes import ShapeRange

    listed = replace(exact, shapes=ShapePlan(sizes=("64x64", "64x96")))
    side = ShapeRange(64, 64, 96)
    ranged = replace(exact, shapes=ShapePlan(height=side, width=side))
    pictures = []
    for name, profile in (("listed", listed), ("ranged", ranged)):
        pipe = load(workshop.compile(workshop.checkpoint("tiny-sd"), "openvino:cpu", profile, tmp_path / name))
        made = pipe("a boat", seed=3, num_inference_steps=2, height=64, width=96).images[0]
        assert made.size == (96, 64)
        pictures.append(np.asarray(made, np.int16))
        with pytest.raises(BadRequest, match="this bundle was built for"):
            pipe("a boat", height=128, width=64)
        pipe.close()
    # Static and dynamic kernels round a float32 sum differently, by one grey level at most.
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_a_compile_killed_at_any_moment_leaves_no_half_bundle_and_goes_on(workshop, tmp_path):
    workshop.bundle("tiny-sd", "ort:cpu")  # fills the cache with graphs, so that the kills fall on later stages too
    output, cache = tmp_path / "bundle", tmp_path / "cache"
    model = workshop.checkpoint("tiny-sd")
    command = [sys.executable, "-c", "from aquatint.cli import main; main()", "compile", str(model), "-t", "ort:cpu"]
    command += ["-p", "exact", "-o", str(output), "--cache", str(cache), "-q"]
    for seconds in (4.0, 9.0, 14.0, 19.0):
        process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
        end = time.monotonic() + seconds
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.05)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not output.exists() or (output / "manifest.json").is_file()
        if output.exists():
            open_bundle(output, hashes=True).close()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    open_bundle(output, hashes=True).close()
    assert [path.name for path in tmp_path.iterdir() if ".part-" in path.name] == []


def test_a_second_compile_takes_graphs_and_references_from_the_cache(workshop, exact, tmp_path, monkeypatch):
    from aquatint.compile import torch_source

    workshop.bundle("tiny-sd", "ort:cpu")

    def unexpected(*_):
        raise AssertionError("the checkpoint was loaded again")

    monkeypatch.setattr(torch_source, "load_stage", unexpected)
    workshop.compile(workshop.checkpoint("tiny-sd"), "ort:cpu", exact, tmp_path / "again")


@pytest.mark.parametrize(
    "name, encoder, tokenizer", [("tiny-sd", "text_encoder", "tokenizer"),
                                 ("tiny-sdxl-refiner", "text_encoder_2", "tokenizer_2")],
)  # fmt: skip
def test_an_onnx_folder_is_its_own_reference(workshop, exact, tmp_path, name, encoder, tokenizer):
    """Laid out as Optimum writes it: graphs under component names, the VAE's configuration beside each half."""

    import onnx_ir as ir

    model = workshop.checkpoint(name)
    folder = tmp_path / "exported"
    bundle = workshop.bundle(name, "ort:cpu")
    for part in (encoder, "unet", "vae_decoder", "vae_encoder"):
        (folder / part).mkdir(parents=True)
        source = "vae" if part.startswith("vae") else part
        shutil.copy(model / source / "config.json", folder / part)
        graph = ir.load(bundle / part / "model.onnx")
        for value in [value for value in graph.graph.inputs if value.name == "clip_skip"]:
            # Optimum's text encoders give one layer and have no such input.
            graph.graph.inputs.remove(value)
            value.const_value = ir.tensor(np.array([-1]), name=value.name)
            graph.graph.register_initializer(value)
        ir.save(graph, folder / part / "model.onnx", external_data="model.onnx_data")
    for part in (tokenizer, "scheduler"):
        shutil.copytree(model / part, folder / part)
    index = json.loads((model / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": f"ORT{index['_class_name']}"}))

    manifest = read_manifest(workshop.compile(folder, "openvino:cpu", exact, tmp_path / "bundle"))
    assert manifest.verification.reference == "onnx"
    assert manifest.settings["largest_clip_skip"] is None
    assert all(golden.psnr_db >= 50 for golden in manifest.verification.goldens)


def test_a_bundle_moved_aside_by_a_killed_compile_comes_back(workshop, impossible, tmp_path):
    output = tmp_path / "bundle"
    shutil.copytree(workshop.bundle("tiny-sd", "ort:cpu"), tmp_path / f".bundle.old-{2**22 + 1}")
    (tmp_path / f".bundle.part-{2**22 + 1}").mkdir()
    with pytest.raises(QualityMissed):
        workshop.compile(workshop.checkpoint("tiny-sd"), "ort:cpu", impossible, output)
    open_bundle(output, hashes=True).close()
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
