"""A bundle's files against its manifest, and what opening refuses."""

import hashlib
from dataclasses import replace
from types import SimpleNamespace

import pytest

from aquatint.runtime import session
from aquatint.runtime.bundle import damaged_files, open_bundle, sha256_of
from aquatint.runtime.errors import BundleCorrupt, MissingPackage, TargetMismatch, UnknownName
from aquatint.runtime.manifest import File, write_manifest
from aquatint.runtime.session import EngineOptions
from aquatint.runtime.text import Tokenizer

SMALL, LARGE = "golden/0.png", "unet/model.onnx"


@pytest.fixture
def bundle(tmp_path, manifest, monkeypatch):
    """(folder, manifest) of two files, one just too large to be hashed at every opening."""
    monkeypatch.setattr("aquatint.runtime.bundle.SMALL_BYTES", 64)
    files = {SMALL: b"s" * 64, LARGE: b"l" * 65}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(content)
    listed = {name: File(hashlib.sha256(content).hexdigest(), len(content)) for name, content in files.items()}
    manifest = replace(manifest, files=listed)
    write_manifest(manifest, tmp_path)
    return tmp_path, manifest


@pytest.fixture
def engine(monkeypatch):
    """An ONNX Runtime of version 1.20.3 on this machine, whether or not there is one."""
    from aquatint.runtime.sessions import ort

    monkeypatch.setattr(ort, "devices", lambda: {"cpu": "CPUExecutionProvider"})
    monkeypatch.setattr(ort, "versions", lambda: {"onnxruntime": "1.20.3"})


def change(path):
    """Flip one bit, leaving the size."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def problems(bundle, hashes):
    return list(damaged_files(*bundle, hashes))


def test_sha256_of_is_hashlibs(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("hashes", [True, False])
def test_whole_files_are_no_problem(bundle, hashes):
    assert problems(bundle, hashes) == []


@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_a_missing_file_is_named(bundle, name):
    (bundle[0] / name).unlink()
    assert problems(bundle, hashes=False) == [f"{name} is missing"]


def test_a_folder_in_a_files_place_is_a_missing_file(bundle):
    (bundle[0] / SMALL).unlink()
    (bundle[0] / SMALL).mkdir()
    assert problems(bundle, hashes=False) == [f"{SMALL} is missing"]


@pytest.mark.parametrize("name", [SMALL, LARGE])
def test_a_truncated_file_is_named_with_both_sizes(bundle, name):
    (bundle[0] / name).write_bytes(b"short")
    assert problems(bundle, hashes=False) == [
        f"{name} has 5 bytes, manifest.json says {bundle[1].files[name].size_bytes}"
    ]


def test_a_changed_small_file_is_seen_at_every_opening(bundle):
    change(bundle[0] / SMALL)
    assert problems(bundle, hashes=False) == [f"{SMALL} was changed: its sha256 is not the one in manifest.json"]


def test_a_changed_large_file_is_seen_only_where_hashes_are_asked_for(bundle):
    change(bundle[0] / LARGE)
    assert problems(bundle, hashes=False) == []
    assert problems(bundle, hashes=True) == [f"{LARGE} was changed: its sha256 is not the one in manifest.json"]


def test_every_damaged_file_is_named(bundle):
    (bundle[0] / SMALL).unlink()
    change(bundle[0] / LARGE)
    assert len(problems(bundle, hashes=True)) == 2


def test_a_damaged_bundle_is_not_opened(bundle, engine):
    (bundle[0] / LARGE).unlink()
    with pytest.raises(BundleCorrupt, match=f"{LARGE} is missing; fetch or compile the bundle again"):
        open_bundle(bundle[0])


def test_a_whole_bundle_is_opened_for_the_target_it_was_built_for(bundle, engine):
    opened = open_bundle(str(bundle[0]))
    assert str(opened.target) == "ort:cpu"
    assert opened.manifest == bundle[1]


@pytest.mark.parametrize("built", ["ort:cuda", "ort:gpu"])
def test_a_bundle_for_a_device_that_is_not_here_is_refused_and_another_may_be_named(bundle, engine, built):
    write_manifest(replace(bundle[1], target=built), bundle[0])
    with pytest.raises(TargetMismatch, match=f"{built} is not on this machine: .*; it has ort:cpu; recompile"):
        open_bundle(bundle[0])
    assert str(open_bundle(bundle[0], device="cpu").target) == "ort:cpu"


def test_a_bundle_for_an_engine_that_we_do_not_know_lists_those_we_do(bundle):
    write_manifest(replace(bundle[1], target="abacus:cpu"), bundle[0])
    with pytest.raises(UnknownName, match=r"unknown backend 'abacus'; known: .*ort"):
        open_bundle(bundle[0])


@pytest.mark.parametrize("needed", ["1.21", "2.0.0", "1.100.0"])
def test_a_bundle_of_a_later_engine_says_what_to_install(bundle, engine, needed):
    write_manifest(replace(bundle[1], requires={"onnxruntime": needed}), bundle[0])
    with pytest.raises(TargetMismatch, match=f'this machine has 1.20.3; pip install "onnxruntime>={needed}"'):
        open_bundle(bundle[0])


@pytest.mark.parametrize("needed", ["1.20.3", "1.20.9", "1.9.0", "0.30"])
def test_a_bundle_of_the_same_or_an_earlier_engine_is_opened(bundle, engine, needed):
    write_manifest(replace(bundle[1], requires={"onnxruntime": needed}), bundle[0])
    open_bundle(bundle[0])


def test_a_missing_engine_says_what_to_install(bundle, monkeypatch):
    def missing(target):
        raise MissingPackage('this needs onnxruntime; pip install "aquatint[ort]"')

    monkeypatch.setattr(session, "devices", missing)
    with pytest.raises(MissingPackage, match=r'pip install "aquatint\[ort\]"'):
        open_bundle(bundle[0])


def test_a_component_that_the_bundle_lacks_is_named(bundle, engine):
    with pytest.raises(BundleCorrupt, match="has no component vae_decoder"):
        open_bundle(bundle[0]).session("vae_decoder")


def test_a_tokenizer_that_the_manifest_does_not_list_is_not_read(bundle, engine):
    (bundle[0] / "tokenizer").mkdir()
    (bundle[0] / "tokenizer" / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleCorrupt, match=r"lists no tokenizer/tokenizer\.json"):
        open_bundle(bundle[0]).tokenizer("tokenizer")


def test_a_tokenizer_that_is_none_is_a_corrupt_bundle(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleCorrupt, match=r"tokenizer\.json is no tokenizer"):
        Tokenizer(tmp_path / "tokenizer.json")


def test_a_link_in_a_bundle_is_refused(bundle, engine):
    (bundle[0] / SMALL).rename(bundle[0] / "elsewhere")
    (bundle[0] / SMALL).symlink_to(bundle[0] / "elsewhere")
    with pytest.raises(BundleCorrupt, match="is a link; a bundle holds plain files"):
        open_bundle(bundle[0])


@pytest.mark.parametrize("residency, open_after", [("all", ["unet", "vae"]), ("one", ["vae"])])
def test_residency_says_how_many_sessions_stay_open(bundle, engine, monkeypatch, residency, open_after):
    folder, manifest = bundle
    both = (manifest.components[0], replace(manifest.components[0], name="vae"))
    write_manifest(replace(manifest, components=both), folder)
    is_open = []

    def open_fake(artifact, part, target, shapes, options):
        assert artifact == folder / LARGE
        is_open.append(part.name)
        return SimpleNamespace(close=lambda: is_open.remove(part.name))

    monkeypatch.setattr("aquatint.runtime.bundle.open_session", open_fake)
    opened = open_bundle(folder, options=EngineOptions(residency=residency))
    assert opened.session("unet") is opened.session("unet")
    opened.session("vae")
    assert is_open == open_after
    opened.close()
    assert is_open == []
