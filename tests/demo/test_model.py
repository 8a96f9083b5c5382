"""The embedded model: its folder, its recorded score, and that it still follows prompts."""

import json

import pytest

from aquatint.demo import MODEL


def test_all_weights_are_safetensors_of_ten_megabytes_at_most():
    files = [path for path in MODEL.rglob("*") if path.is_file()]
    weights = [path for path in files if path.suffix == ".safetensors"]
    assert {path.parent.name for path in weights} == {"vae", "unet", "text_encoder"}
    assert sum(path.stat().st_size for path in weights) <= 10_000_000
    assert not [path for path in files if path.suffix in (".bin", ".pt", ".ckpt")]


def test_no_config_holds_a_path_of_the_machine_that_trained_it():
    for path in MODEL.rglob("*.json"):
        text = path.read_text()
        assert not any(f'"{root}' in text for root in ("/tmp", "/home", "/root", "/work")), path


def test_the_recorded_score_reaches_the_targets():
    record = json.loads((MODEL / "score.json").read_text())
    assert record["sampling"]["steps"] == 20
    assert record["score"]["count"] == 200
    assert record["score"]["color"] >= 0.9
    assert record["score"]["shape"] >= 0.8


def test_eight_held_out_prompts_are_followed():
    pytest.importorskip("diffusers")
    from aquatint.demo.evaluate import Sampling, generate
    from aquatint.demo.judge import judge

    score = judge(generate(MODEL, Sampling(count=8, batch=8)))
    # Two misses of eight would happen once in ten runs at 90 %; the seeds are fixed, so this run always passes.
    assert score.color >= 0.75
    assert score.shape >= 0.75
