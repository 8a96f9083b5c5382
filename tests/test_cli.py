"""The command line: what it prints, and that no Python error reaches its user."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aquatint import cli, load
from aquatint.runtime.manifest import NAME
from aquatint.runtime.pixels import save_png

SCHEDULER = {
    "_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
    "timestep_spacing": "trailing",
}  # fmt: skip


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
    code, out, _ = aquatint("run", folder, "a boat", "--steps", 1, "--batch", 2, "-o", tmp_path / "a.png")
    assert code == 0
    assert out.split() == [str(tmp_path / "a-0.png"), str(tmp_path / "a-1.png")]


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_options_are_those_of_a_call(aquatint, workshop, tmp_path):
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    start, mask = Image.linear_gradient("L").convert("RGB"), Image.radial_gradient("L")
    start.save(tmp_path / "start.png")
    mask.save(tmp_path / "mask.png")
    (tmp_path / "ddim.json").write_text(json.dumps({**SCHEDULER, "_diffusers_version": "0.42.1"}))
    code, _, _ = aquatint(
        "run", folder, "a boat", "-o", tmp_path / "a.png", "--image", tmp_path / "start.png", "--mask",
        tmp_path / "mask.png", "--strength", 0.9, "--padding-mask-crop", 8, "-n", "fog", "--clip-skip", 1,
        "--seed", "4,5", "--batch", 2, "--generator", "cuda", "--noise-dtype", "float16",
        "--scheduler", tmp_path / "ddim.json",
        "--steps", 3, "-g", 3, "--guidance-rescale", 0.5, "--eta", 0.5, "--long-prompt", "chunks",
    )  # fmt: skip
    assert code == 0
    expected = load(folder)(
        "a boat", image=start, mask_image=mask, strength=0.9, padding_mask_crop=8, negative_prompt="fog", clip_skip=1,
        seed=[4, 5], num_images_per_prompt=2, generator="cuda", noise_dtype="float16", scheduler=SCHEDULER,
        num_inference_steps=3, guidance_scale=3, guidance_rescale=0.5, eta=0.5, long_prompt="chunks",
    )  # fmt: skip
    for i, image in enumerate(expected.images):
        assert np.array_equal(pixels(tmp_path / f"a-{i}.png"), np.asarray(image))


def test_a_refiner_goes_on_from_a_bases_latents(aquatint, workshop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    half = ("--output-type", "latent", "--denoising-end", 0.8, "--steps", 5, "--seed", 1)
    code, out, _ = aquatint("run", workshop.bundle("tiny-sdxl", "ort:cpu"), "a boat", *half, "-o", "base.npy")
    assert (code, out.strip()) == (0, "base.npy")
    assert np.load("base.npy").shape == (1, 4, 8, 8)
    rest = ("--denoising-start", 0.8, "--image", "base.npy", "--steps", 5, "--seed", 1)
    refiner = workshop.bundle("tiny-sdxl-refiner", "ort:cpu")
    assert aquatint("run", refiner, "a boat", *rest, "-o", "whole.png")[0] == 0
    expected = load(refiner)(
        "a boat", image=np.load("base.npy"), denoising_start=0.8, num_inference_steps=5, seed=1
    ).images[0]  # fmt: skip
    assert np.array_equal(pixels("whole.png"), np.asarray(expected))


@pytest.fixture
def circle(aquatint, workshop, tmp_path, monkeypatch):
    """A picture that goes on from another, in a folder of its own; no seed was given."""
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").resize((64, 64)).save("start.png")
    bundle = workshop.bundle("tiny-sd", "ort:cpu")
    code, _, _ = aquatint("run", bundle, "a boat", "--steps", 3, "--image", "start.png", "-o", "old.png")
    assert code == 0
    return Path("old.png")


def test_a_picture_is_made_again_from_its_own_words(aquatint, circle, workshop):
    code, out, err = aquatint("run", "--like", circle)
    assert (code, out) == (0, "old-again.png\n")
    assert Path("old-again.png").read_bytes() == circle.read_bytes()
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    assert err == f"aquatint: as old.png says, this opens the bundle {folder}, the image start.png\n"


def test_what_the_user_says_replaces_what_the_picture_says(aquatint, circle, workshop):
    code, out, _ = aquatint("run", "--like", circle, "--seed", 11, "--strength", 0.9, "-o", "new.png", "--json")
    assert (code, json.loads(out)["seed"], json.loads(out)["strength"]) == (0, 11, 0.9)
    with Image.open("start.png") as image:
        start = image.convert("RGB")
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    expected = load(folder)("a boat", image=start, strength=0.9, num_inference_steps=3, seed=11).images[0]
    assert np.array_equal(pixels("new.png"), np.asarray(expected))
    code, out, _ = aquatint("run", folder, "a tree", "--like", circle, "--json")
    assert (code, json.loads(out)["prompt"]) == (0, "a tree")


def test_one_picture_of_a_batch_is_made_again_alone(aquatint, workshop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("run", workshop.bundle("tiny-sd", "ort:cpu"), "a boat", "--steps", 2, "--batch", 3, "--scheduler")
    assert aquatint(*words, "euler-ancestral", "-o", "a.png")[0] == 0
    code, out, _ = aquatint("run", "--like", "a-1.png", "-o", "b.png")
    assert (code, out) == (0, "b.png\n")
    assert Path("b.png").read_bytes() == Path("a-1.png").read_bytes()
    assert not np.array_equal(pixels("a-0.png"), pixels("a-1.png"))
    assert aquatint("run", "--like", "a-1.png", "--batch", 2, "-o", "c.png")[1].split() == ["c-0.png", "c-1.png"]


def test_a_schedule_of_ones_own_gives_way_to_a_number_of_steps(aquatint, workshop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("run", workshop.bundle("tiny-sd", "ort:cpu"), "a boat", "--scheduler", "ddpm", "--timesteps", "999,500,1")
    assert aquatint(*words, "-o", "a.png")[0] == 0
    assert aquatint("run", "--like", "a.png", "-o", "b.png")[0] == 0
    assert Path("b.png").read_bytes() == Path("a.png").read_bytes()
    made = json.loads(aquatint("run", "--like", "a.png", "--steps", 2, "-o", "c.png", "--json")[1])
    assert made["num_inference_steps"] == 2
    assert "timesteps" not in made


def test_another_bundle_than_the_pictures_is_told(aquatint, circle, copy):
    table = json.loads((copy / NAME).read_text())
    (copy / NAME).write_text(json.dumps(table))  # the same, in other bytes
    code, _, err = aquatint("run", copy, "--like", circle)
    assert code == 0
    assert f"old.png was made by another bundle than {copy} is now; the picture may differ" in err
    assert err.startswith("aquatint: as old.png says, this opens the image start.png\n")


def test_a_start_picture_that_changed_or_is_gone_is_one_line(aquatint, circle):
    Image.new("RGB", (64, 64)).save("start.png")
    fails(aquatint("run", "--like", circle), "start.png has changed since the picture was made")
    Path("start.png").unlink()
    fails(aquatint("run", "--like", circle), "start.png, which the picture was made from, is not here")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"bundle": "gone"}, "was made by the bundle gone, which is not here"),
        ({"bundle": None}, "does not say which bundle made it"),
        ({"index": 3}, "number 3 of 1"),
        ({"seed": "x"}, "seed is 'x', expected int"),
        ({"exec": "x"}, "has no key exec"),
        ({"scheduler": "../../etc/passwd"}, "unknown scheduler"),
        ({"scheduler": {"_class_name": "os.system"}}, "unknown scheduler"),
        ({"guidance_scale": float("nan")}, "guidance_scale is nan"),
        ({"output_type": "pickle"}, "output_type is 'pickle'"),
        ({"image": {"path": "/dev/zero", "sha256": "0"}}, "/dev/zero, which the picture was made from, is not here"),
    ],
)
def test_a_record_of_no_use_is_one_line(aquatint, workshop, tmp_path, monkeypatch, change, words):
    monkeypatch.chdir(tmp_path)
    table = {"prompt": "a boat", "bundle": str(workshop.bundle("tiny-sd", "ort:cpu")), **change}
    save_png(Image.new("RGB", (8, 8)), Path("odd.png"), table)
    code, out, err = aquatint("run", "--like", "odd.png", "-o", "new.png")
    fails((code, out, err.splitlines(keepends=True)[-1]), words)
    assert not Path("new.png").exists()


def test_a_file_that_the_run_starts_from_is_not_written_over(aquatint, circle, workshop):
    old = Path("start.png").read_bytes()
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    fails(aquatint("run", folder, "x", "--image", "start.png", "-o", "./start.png"), "the run starts from it")
    assert Path("start.png").read_bytes() == old


def test_files_that_are_neither_picture_nor_array_are_one_line(aquatint, workshop, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.png").write_text("text")
    np.save("objects.npy", np.array([{"a": 1}], object), allow_pickle=True)
    Path("list.json").write_text("[]")
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    fails(aquatint("run", folder, "x", "--image", "text.png"), "text.png: it is no picture")
    fails(aquatint("run", folder, "x", "--image", "objects.npy"), "objects.npy: it is no .npy file of plain numbers")
    fails(aquatint("run", folder, "x", "--mask", "gone.png"), "gone.png: there is no such file")
    fails(aquatint("run", folder, "x", "--scheduler", "./gone.json"), "gone.json: No such file")
    fails(aquatint("run", folder, "x", "--scheduler", "text.png/"), "it is no JSON")
    fails(aquatint("run", folder, "x", "--scheduler", "list.json"), "is no scheduler's configuration")
    fails(aquatint("run", folder, "x", "--output-type", "latent", "-o", "a.png"), "name a .npy file")
    fails(aquatint("run", folder, "x", "-o", "a.npy"), "the result is no .npy file")


def test_a_bundle_without_a_prompt_is_asked_for_one(aquatint, workshop):
    code, out, err = aquatint("run", workshop.bundle("tiny-sd", "ort:cpu"))
    assert (code, out) == (2, "")
    assert "give BUNDLE and PROMPT, or --like" in err


def test_notes_of_a_run_are_one_line_each_on_stderr(aquatint, workshop, tmp_path):
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    code, out, err = aquatint("run", folder, "a boat\n" * 30, "--steps", 1, "-o", tmp_path / "a.png")
    assert (code, out.strip()) == (0, str(tmp_path / "a.png"))
    assert err.startswith("aquatint: of the ")
    assert err.count("\n") == 1


def test_control_c_stops_the_run_and_writes_nothing(workshop, tmp_path):
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    words = ["run", workshop.bundle("tiny-sd", "ort:cpu"), "a boat", "--steps", "900", "-o", tmp_path / "a.png"]
    run = subprocess.Popen(
        [sys.executable, "-m", "aquatint", *map(str, words)],
        stderr=theirs,
        stdout=subprocess.PIPE,
        # A shell's background jobs ignore the signal, and hand that on.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    os.close(theirs)  # so that reading ends with the run
    shown = b""
    while b"denoising" not in shown:  # the live line, which only a terminal gets
        shown += os.read(ours, 4096)
    run.send_signal(signal.SIGINT)
    with suppress(OSError):  # the terminal's end, once the run is over
        while more := os.read(ours, 4096):  # a full terminal would hold the run back
            shown += more
    assert run.wait(timeout=30) == 130
    assert run.stdout.read() == b""
    assert shown.endswith(b"aquatint: stopped\r\n")
    assert list(tmp_path.iterdir()) == []
    run.stdout.close()
    os.close(ours)


def test_low_memory_prints_the_same_picture(aquatint, workshop, tmp_path):
    folder = workshop.bundle("tiny-sd", "ort:cpu")
    for name, words in (("a.png", ()), ("b.png", ("--low-memory",))):
        code, _, _ = aquatint("run", folder, "x", "--steps", 1, "--seed", 1, "-o", tmp_path / name, *words)
        assert code == 0
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_verify_measures_the_golden_images(aquatint, workshop):
    code, out, _ = aquatint("verify", workshop.bundle("tiny-sd", "ort:cpu"), "--json")
    assert code == 0
    (golden,) = json.loads(out)["goldens"]
    assert golden["psnr_db"] >= golden["min_psnr_db"] == 50
    # Some pixels are off by one level at most.
    assert golden["ssim"] > 0.999
    assert golden["latent_distance"] < 0.01
    assert (golden["min_ssim"], golden["max_latent_distance"]) == (None, None)
    code, out, _ = aquatint("verify", workshop.bundle("tiny-sd", "ort:cpu"))
    assert code == 0
    assert [word in out for word in ("PSNR", "SSIM", "latent distance", "asked")] == [True] * 4


@pytest.mark.parametrize("budget", ["good", "lpips=0.1", "ssim=2", "judge=1.5", "psnr=30,psnr=31"])
def test_a_budget_that_says_nothing_is_one_line(aquatint, workshop, budget):
    fails(aquatint("compile", workshop.checkpoint("tiny-sd"), "--budget", budget), f"--budget {budget!r}")


def test_the_budget_for_the_judge_is_refused_for_a_model_that_it_does_not_know(aquatint, workshop, tmp_path):
    words = ("-t", "ort:cpu", "-q", "-o", tmp_path / "made", "--budget", "psnr=30,judge=4")
    fails(aquatint("compile", workshop.checkpoint("tiny-sd"), *words), "judge is for the demo model alone")


def test_every_word_of_a_budget_ends_up_in_the_bundle(aquatint, workshop, tmp_path):
    words = ("-t", "ort:cpu", "-p", "exact", "-o", tmp_path / "made", "--json")
    code, out, _ = aquatint(
        "compile", workshop.checkpoint("tiny-sd"), *words, "--budget", "psnr=45,ssim=0.9,latent=0.1"
    )
    assert code == 0
    verification = json.loads(out)["verification"]
    bounds = [verification[name] for name in ("min_psnr_db", "min_ssim", "max_latent_distance")]
    assert bounds == [45, 0.9, 0.1]
    assert verification["goldens"][0]["ssim"] > 0.9


@pytest.mark.parametrize("verb", ["targets", "profiles", "cache"])
def test_every_list_comes_as_json_too(aquatint, verb):
    code, out, _ = aquatint(verb, "--json")
    assert code == 0
    assert isinstance(json.loads(out), list)


def test_inspect_shows_each_component(aquatint, workshop):
    code, out, _ = aquatint("inspect", workshop.bundle("tiny-sdxl", "ort:cpu"))
    assert code == 0
    for name in ("text_encoder", "text_encoder_2", "unet", "vae_decoder", "vae_encoder", "golden image"):
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
