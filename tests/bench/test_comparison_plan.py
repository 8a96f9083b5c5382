"""What can be compared: the same model and shapes, whole files, possible wishes; all else is refused in words."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from aquatint.bench.comparison_plan import PROMPTS, Ask, differences, make_plan, names_of
from aquatint.runtime.errors import BadRequest, BundleCorrupt
from aquatint.runtime.manifest import Adapter, read_manifest, write_manifest


@pytest.fixture(scope="module")
def manifest(compared):
    return read_manifest(compared[0])


def test_all_bundles_get_the_first_ones_settings(compared, manifest):
    plan = make_plan(compared, Ask(seed=5))
    assert plan.job.steps == manifest.defaults.num_inference_steps
    assert plan.job.guidance_scale == manifest.defaults.guidance_scale
    assert (plan.job.seed, plan.prompts) == (5, PROMPTS)


def test_one_bundle_is_no_comparison(compared):
    with pytest.raises(BadRequest, match="needs two bundles or more, the first as the reference; got 1"):
        make_plan(compared[:1], Ask())


def test_a_missing_bundle_is_named(compared, tmp_path):
    with pytest.raises(BundleCorrupt, match="gone is no bundle"):
        make_plan([compared[0], tmp_path / "gone"], Ask())


def test_a_damaged_bundle_is_refused_however_large_the_file(compared, tmp_path, monkeypatch):
    copy = Path(shutil.copytree(compared[1], tmp_path / "copy"))
    artifact = next(file for file in (copy / "unet").iterdir())
    artifact.write_bytes(artifact.read_bytes()[:-1] + b"\x00")
    monkeypatch.setattr("aquatint.runtime.bundle.SMALL_BYTES", 0)
    with pytest.raises(BundleCorrupt, match="was changed"):
        make_plan([compared[0], copy], Ask())


def test_another_model_is_refused(compared, manifest, tmp_path):
    other = Path(shutil.copytree(compared[0], tmp_path / "other"))
    weights = dict.fromkeys(manifest.model.sha256, "0" * 64)
    write_manifest(replace(manifest, model=replace(manifest.model, source="another", sha256=weights)), other)
    with pytest.raises(BadRequest, match=r"other can't be compared with .*: it holds other weights, of another in"):
        make_plan([compared[0], other], Ask())


def test_the_same_weights_from_another_folder_are_the_same_model(manifest):
    renamed = replace(manifest, model=replace(manifest.model, name="copy", source="/elsewhere/copy"))
    assert list(differences(manifest, renamed)) == []


def test_what_was_merged_into_the_weights_must_be_the_same(manifest):
    styled = replace(manifest, model=replace(manifest.model, adapters=(Adapter("lora", "style", "0" * 64, 0.8),)))
    assert list(differences(manifest, styled)) == ["merged into it: style; into the other: nothing"]


@pytest.mark.parametrize(
    "field, value, words",
    [
        ("sizes", ((64, 96),), r"its sizes is \(\(64, 96\),\), not \(\(64, 64\),\)"),
        ("batch", 2, "its batch is 2, not 1"),
        ("guidance", "split", "its guidance is split, not batch"),
    ],
)
def test_other_shapes_are_named(manifest, field, value, words):
    (said,) = differences(manifest, replace(manifest, shapes=replace(manifest.shapes, **{field: value})))
    assert re.match(words, said)


@pytest.mark.parametrize(
    "ask, words",
    [
        (Ask(steps=2), "steps is 2; a comparison needs 3 or more"),
        (Ask(rounds=0), "rounds is 0"),
        (Ask(judge=True), "the judge knows the demo model's pictures alone"),
        (Ask(seed=2**70), "seed"),
        (Ask(steps=5000), "steps is 5000; it must be from 1 to 1000"),
    ],
)
def test_impossible_wishes_are_refused_before_anything_is_measured(compared, ask, words):
    with pytest.raises(BadRequest, match=words):
        make_plan(compared, ask)


def test_bundles_are_called_by_their_folders():
    assert names_of([Path("a/float"), Path("a/int8")]) == ("float", "int8")
    assert names_of([Path("a/x"), Path("b/x"), Path("c")]) == ("a/x", "b/x", "c")
    assert names_of([Path("a/x"), Path("a/x")]) == ("a/x", "a/x (2)")
