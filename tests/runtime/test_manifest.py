"""manifest.json: written, read back, and refused where it is not as it should be."""

import json
from dataclasses import replace

import pytest

from aquatint.runtime.errors import BundleCorrupt, BundleTooNew
from aquatint.runtime.manifest import FORMAT, NAME, File, Judged, TensorSpec, read_manifest, write_manifest
from aquatint.runtime.record import to_table

NO_PLAIN_NAMES = [
    "../x", "a/../x", "a/..", "..", "/abs", "//abs", "a\\b", "..\\x", "C:x", "C:/x",
    "a//b", "./a", "a/.", ".", "a/", "",
]  # fmt: skip


def write(folder, manifest, **changes):
    """The manifest as a file, with some of its keys replaced."""
    (folder / NAME).write_text(json.dumps({**to_table(manifest), **changes}))


def test_a_manifest_comes_back_as_it_was_written(tmp_path, manifest):
    write_manifest(manifest, tmp_path)
    assert read_manifest(tmp_path) == manifest


def test_what_is_beyond_ascii_stays_readable_in_the_file(tmp_path, manifest):
    named = replace(manifest, model=replace(manifest.model, name="modèle 模型"))
    write_manifest(named, tmp_path)
    assert "modèle 模型" in (tmp_path / NAME).read_text(encoding="utf-8")
    assert read_manifest(tmp_path) == named


def test_a_component_is_found_by_name(manifest):
    assert manifest.component("unet") is manifest.components[0]
    assert manifest.component("vae") is None


def test_input_sizes_put_numbers_for_words(manifest):
    sizes = manifest.components[0].input_sizes({"batch": 2, "height": 128, "width": 192})
    assert sizes == {"sample": (2, 4, 16, 24), "encoder_hidden_states": (2, 77, 32)}


def test_the_denoisers_input_grows_with_the_tokens_of_a_prompt(manifest):
    told = TensorSpec("encoder_hidden_states", "float32", ("batch", "tokens", 32))
    unet = replace(manifest.components[0], inputs=(told,))
    assert unet.input_sizes({"batch": 2, "tokens": 154}) == {"encoder_hidden_states": (2, 154, 32)}


def test_a_picture_to_start_from_is_one_of_the_bundles_files(tmp_path, manifest):
    verification = manifest.verification
    started = replace(verification.goldens[0], start="golden/0-start.png", strength=0.5)
    changed = replace(manifest, verification=replace(verification, goldens=(started,)))
    write_manifest(changed, tmp_path)
    with pytest.raises(BundleCorrupt, match=r"names golden/0-start\.png, which its list of files lacks"):
        read_manifest(tmp_path)
    listed = replace(changed, files={**changed.files, "golden/0-start.png": File("22" * 32, 5)})
    write_manifest(listed, tmp_path)
    assert read_manifest(tmp_path) == listed


def test_all_that_was_measured_comes_back(tmp_path, manifest):
    checked = manifest.verification
    golden = replace(checked.goldens[0], ssim=0.99, latent_distance=0.01)
    judge = Judged(right=150, of=200, reference=152)
    measured = replace(checked, goldens=(golden,), min_ssim=0.9, max_latent_distance=0.1, judge=judge)
    write_manifest(replace(manifest, verification=measured), tmp_path)
    assert read_manifest(tmp_path).verification == measured
    assert judge.lost == 2


def test_a_manifest_from_before_ssim_and_the_judge_is_read(tmp_path, manifest):
    table = to_table(manifest)["verification"]
    for key in ("min_ssim", "max_latent_distance", "judge"):
        del table[key]
    for key in ("ssim", "latent_distance"):
        del table["goldens"][0][key]
    write(tmp_path, manifest, verification=table)
    assert read_manifest(tmp_path) == manifest


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path):
    with pytest.raises(BundleCorrupt, match=f"is no bundle: it has no {NAME}"):
        read_manifest(tmp_path)


def test_a_newer_format_asks_for_a_newer_version(tmp_path, manifest):
    write(tmp_path, manifest, format=FORMAT + 1, invented_later=True)
    with pytest.raises(BundleTooNew, match=f"has format {FORMAT + 1}, this aquatint reads up to {FORMAT}"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("format", ["1", None, 1.0, [1], True])
def test_a_format_that_is_no_number_is_refused(tmp_path, manifest, format):
    write(tmp_path, manifest, format=format)
    with pytest.raises(BundleCorrupt, match="format"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"text"', "null", "[" * 100_000, '{"format": ' * 100_000])
def test_a_file_that_holds_no_manifest_is_refused(tmp_path, text):
    (tmp_path / NAME).write_text(text)
    with pytest.raises(BundleCorrupt, match=NAME):
        read_manifest(tmp_path)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / NAME).write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(BundleCorrupt, match="can't be read"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    "changes, path",
    [
        ({"target": 3}, "target is 3, expected str"),
        ({"components": {}}, "components is a table, expected a list"),
        ({"components": [{}]}, r"components\[0\] lacks the key name"),
        ({"files": {"a": {"sha256": "00", "size_bytes": "9"}}}, r"files\.a: size_bytes is '9', expected int"),
        ({"shapes": {"sizes": [[512]]}}, r"shapes: sizes\[0\] has 1 entries, expected 2"),
        ({"shapes": {}}, "shapes: give either sizes, or both"),
        ({"extra": 1}, "has no key extra; known keys: approximations, build, built_with"),
    ],
)
def test_a_wrong_value_is_refused_by_its_path(tmp_path, manifest, changes, path):
    write(tmp_path, manifest, **changes)
    with pytest.raises(BundleCorrupt, match=path):
        read_manifest(tmp_path)


def test_a_missing_key_is_named(tmp_path, manifest):
    table = to_table(manifest)
    del table["settings"]
    (tmp_path / NAME).write_text(json.dumps(table))
    with pytest.raises(BundleCorrupt, match="lacks the key settings"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("dim", ["depth", "height/0", "height/x", "height/", "/8", "", 0, -1])
def test_a_dimension_that_means_nothing_is_refused(tmp_path, manifest, dim):
    table = to_table(manifest.components[0])
    table["inputs"][0]["dims"][0] = dim
    write(tmp_path, manifest, components=[table])
    with pytest.raises(BundleCorrupt, match=rf"components\[0\]: inputs\[0\]: dims has {dim!r}"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", NO_PLAIN_NAMES)
def test_a_file_name_that_leaves_the_bundle_or_is_not_plain_is_refused(tmp_path, manifest, name):
    write_manifest(replace(manifest, files={**manifest.files, name: File("00", 1)}), tmp_path)
    with pytest.raises(BundleCorrupt, match="no plain relative name inside the bundle"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["a", "a/b", "a/..b", "a/b..", ".hidden/x", "vae_decoder/model.bin", "ü/模"])
def test_a_plain_file_name_is_taken(tmp_path, manifest, name):
    write_manifest(replace(manifest, files={**manifest.files, name: File("00", 1)}), tmp_path)
    assert name in read_manifest(tmp_path).files


@pytest.mark.parametrize("artifact", ["../unet/model.onnx", "/etc/passwd", "unet/other.onnx", ""])
def test_an_artifact_that_is_not_among_the_files_is_refused(tmp_path, manifest, artifact):
    write_manifest(replace(manifest, components=(replace(manifest.components[0], artifact=artifact),)), tmp_path)
    with pytest.raises(BundleCorrupt, match="which its list of files lacks"):
        read_manifest(tmp_path)


def test_a_golden_image_that_is_not_among_the_files_is_refused(tmp_path, manifest):
    files = {"unet/model.onnx": manifest.files["unet/model.onnx"]}
    write_manifest(replace(manifest, files=files), tmp_path)
    with pytest.raises(BundleCorrupt, match=r"golden/0\.png, which its list of files lacks"):
        read_manifest(tmp_path)
