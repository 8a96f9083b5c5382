"""The command line: what it prints, and that no Python error reaches its user."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from aquatint import cli
from aquatint.runtime.manifest import NAME


@pytest.fixture
def aquatint(capsys, monkeypatch, workshop):
    """Run the command line in this process: exit code, stdout, stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["aquatint", *map(str, words)])
        monkeypatch.setenv("AQUATINT_CACHE", str(workshop.cache))
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def copy(workshop, tmp_path):
    """A bundle that a test may damage."""
    return Path(shutil.copytree(workshop.bundle("tiny-sd", "ort:cpu"), tmp_path / "copy"))


def fails(result, words):
    code, out, err = result
    assert code == 1
    assert out == ""
    assert err.startswith("aquatint: ")
    assert err.count("\n") == 1
    assert words in err


def test_compile_prints_the_bundles_folder(aquatint, workshop, tmp_path):
    model = workshop.checkpoint("tiny-sd")
    code, out, err = aquatint("compile", model, "-t", "ort:cpu", "-p", "exact", "-o", tmp_path / "made")
    assert (code, out.strip()) == (0, str(tmp_path / "made"))
    assert "unet: relative error" in err


def test_a_dry_run_plans_and_makes_nothing(aquatint, workshop, tmp_path):
    model = workshop.checkpoint("tiny-sdxl")
    code, out, _ = aquatint("compile", model, "-t", "openvino:npu", "--dry-run", "-o", tmp_path / "made")
    assert code == 0
    assert "text_encoder_2" in out
    assert "openvino:npu is not on this machine" in out
    assert not (tmp_path / "made").exists()


def test_run_writes_a_picture_that_says_how_it_was_made(aquatint, workshop, tmp_path):
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    code, out, _ = aquatint("run", folder, "a boat", "--seed", 3, "--steps", 2, "-o", tmp_path / "a.png", "--json")
    assert code == 0
    assert json.loads(out)["seed"] == 3
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (64, 64)
        assert json.loads(image.text["aquatint"])["prompt"] == "a boat"


def test_several_pictures_get_numbers(aquatint, workshop, tmp_path):
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    code, out, _ = aquatint("run", folder, "a boat", "--steps", 1, "--count", 2, "-o", tmp_path / "a.png")
    assert code == 0
    assert out.split() == [str(tmp_path / "a-0.png"), str(tmp_path / "a-1.png")]


def test_low_memory_prints_the_same_picture(aquatint, workshop, tmp_path):
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    for name, words in (("a.png", ()), ("b.png", ("--low-memory",))):
        code, _, _ = aquatint("run", folder, "x", "--steps", 1, "--seed", 1, "-o", tmp_path / name, *words)
        assert code == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_verify_measures_the_golden_images(aquatint, workshop):
    code, out, _ = aquatint("verify", workshop.bundle("tiny-sd", "ort:cpu"), "--json")
    assert code == 0
    assert json.loads(out)["goldens"][0]["psnr_db"] >= 50


@pytest.mark.parametrize("verb", ["targets", "profiles", "cache"])
def test_every_list_comes_as_json_too(aquatint, verb):
    code, out, _ = aquatint(verb, "--json")
    assert code == 0
    assert isinstance(json.loads(out), list)


def test_inspect_shows_each_component(aquatint, workshop):
    code, out, _ = aquatint("inspect", workshop.bundle("tiny-sdxl", "ort:cpu"))
    assert code == 0
    for name in ("text_encoder", "text_encoder_2", "unet", "vae_decoder", "vae_encoder", "golden images"):
        assert name in out


def test_a_folder_that_is_no_bundle_is_one_line(aquatint, tmp_path):
    for verb in (["run", tmp_path, "x"], ["verify", tmp_path], ["inspect", tmp_path]):
        fails(aquatint(*verb), "is no bundle: it has no manifest.json")


def test_a_folder_that_is_no_model_is_one_line(aquatint, tmp_path):
    fails(aquatint("compile", tmp_path), "a Diffusers model is a folder with model_index.json in it")


def test_an_unknown_target_lists_those_that_exist(aquatint, workshop):
    model = workshop.checkpoint("tiny-sd")
    fails(aquatint("compile", model, "-t", "openvino:tpu"), "known targets: openvino:cpu")
    fails(aquatint("compile", model, "-t", "directml:gpu"), "known targets: openvino:cpu")
    fails(aquatint("compile", model, "-t", "openvino"), "write backend:device")


def test_an_unknown_profile_lists_those_that_exist(aquatint, workshop):
    fails(aquatint("compile", workshop.checkpoint("tiny-sd"), "-p", "exakt"), "known: balanced, exact, fast, small")


def test_a_device_that_must_be_here_is_refused_where_it_is_not(aquatint, workshop):
    model = workshop.checkpoint("tiny-sd")
    fails(aquatint("compile", model, "-t", "openvino:npu", "--require-device"), "openvino:npu is not on this machine")


def test_an_output_that_is_no_bundle_is_not_overwritten(aquatint, workshop, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    fails(aquatint("compile", workshop.checkpoint("tiny-sd"), "-o", tmp_path / "mine"), "exists and is no bundle")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"


def test_a_truncated_artifact_is_named(aquatint, copy):
    data = copy / "unet" / "model.onnx.data"
    data.write_bytes(data.read_bytes()[:-100])
    fails(aquatint("run", copy, "x"), "unet/model.onnx.data has")


def test_a_missing_file_is_named(aquatint, copy):
    (copy / "tokenizer" / "tokenizer.json").unlink()
    fails(aquatint("run", copy, "x"), "tokenizer/tokenizer.json is missing")


def test_a_changed_artifact_fails_verification(aquatint, copy):
    data = copy / "unet" / "model.onnx.data"
    raw = bytearray(data.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    data.write_bytes(raw)
    fails(aquatint("verify", copy), "unet/model.onnx.data was changed")


def test_a_newer_format_asks_for_a_newer_version(aquatint, copy):
    table = json.loads((copy / NAME).read_text())
    (copy / NAME).write_text(json.dumps({**table, "format": 99}))
    fails(aquatint("run", copy, "x"), "install a newer one")


def test_a_bundle_for_another_machine_is_refused(aquatint, workshop):
    fails(aquatint("run", workshop.bundle("tiny-sd", "openvino:npu", "balanced"), "x"), "is not on this machine")


def test_an_older_engine_than_the_bundle_needs_is_refused(aquatint, copy):
    table = json.loads((copy / NAME).read_text())
    (copy / NAME).write_text(json.dumps({**table, "requires": {"onnxruntime": "99.1"}}))
    fails(aquatint("run", copy, "x"), "needs onnxruntime 99.1 or later")


def test_an_output_in_no_folder_is_refused_before_the_engines_load(aquatint, workshop, tmp_path):
    fails(aquatint("run", workshop.bundle("tiny-sd", "ort:cpu"), "x", "-o", tmp_path / "no" / "x.png"), "no folder")


def test_a_full_disk_is_one_line(aquatint, workshop):
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    from aquatint.runtime import pixels

    def full_disk(*_, **__):
        with full.open("wb", buffering=0) as stream:
            stream.write(b"x")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixels.Image.Image, "save", full_disk)
        fails(aquatint("run", workshop.bundle("tiny-sd", "ort:cpu"), "x", "--steps", 1), "No space left")


def test_importing_the_package_and_asking_for_help_are_quick():
    def median_seconds(*words):
        taken = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, capture_output=True)
            taken.append(time.perf_counter() - start)
        return sorted(taken)[2]

    # A bare interpreter is the machine's own share; a loaded machine is given twice the time.
    bare = median_seconds("-c", "pass")
    assert median_seconds("-c", "import aquatint") - bare < 0.1
    assert median_seconds("-m", "aquatint", "--help") - bare < 0.6
