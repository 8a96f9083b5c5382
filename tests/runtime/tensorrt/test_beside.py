"""Engines beside a bundle: found again, and built again where anything that they were made of has changed."""

import json
import re
import shutil
from dataclasses import replace

import pytest

from aquatint.runtime.cuda.device import first_gpu
from aquatint.runtime.errors import NotBuilt, SessionFailed
from aquatint.runtime.manifest import read_manifest
from aquatint.runtime.session import EngineOptions
from aquatint.runtime.tensorrt.beside import FORMAT, VERIFIED, Engines
from aquatint.runtime.tensorrt.options import BuildOptions
from aquatint.runtime.tensorrt.package import package
from aquatint.tests.stand_ins.machine import Card

NAMES = ["text_encoder", "unet", "vae_decoder", "vae_encoder"]


@pytest.fixture
def bundle(workshop, tmp_path, trt):
    """A copy of the tiny bundle, of which each machine builds its engines."""
    return shutil.copytree(workshop.bundle("tiny-sd", "ort:cpu"), tmp_path / "tiny")


@pytest.fixture
def engines_of(bundle):
    """What is beside the bundle, as a new process finds it.  changes: of the manifest."""

    def find(options=None, target="tensorrt:any", **changes):
        manifest = replace(read_manifest(bundle), target=target, build=options or BuildOptions(), **changes)
        return Engines(bundle, manifest, package(), first_gpu())

    return find


def build_all(engines):
    for part in engines.missing():
        list(engines.build(part))


def names(parts):
    return [part.name for part in parts]


def plans_in(engines):
    return sorted(path.name for path in engines.folder.glob("*.plan"))


def test_at_first_all_are_missing(engines_of):
    engines = engines_of()
    assert names(engines.missing()) == NAMES
    assert engines.built() == []
    with pytest.raises(NotBuilt, match=r"^unet has no engine for this GPU yet$"):
        engines.find(engines._manifest.component("unet"))


def test_they_lie_beside_the_bundle_which_stays_as_it_came(engines_of, bundle):
    before = sorted(path.relative_to(bundle) for path in bundle.rglob("*"))
    engines = engines_of()
    build_all(engines)
    assert engines.folder == bundle.with_name("tiny.engines")
    assert sorted(path.relative_to(bundle) for path in bundle.rglob("*")) == before
    assert len(plans_in(engines)) == 4
    assert all(re.fullmatch(r"\w+-sm89-10\.14\.1\.48-[0-9a-f]{16}\.plan", name) for name in plans_in(engines))


def test_a_relative_path_names_the_same_folder(engines_of, bundle, monkeypatch):
    monkeypatch.chdir(bundle)
    from pathlib import Path

    manifest = replace(read_manifest(bundle), target="tensorrt:any", build=BuildOptions())
    assert Engines(Path("."), manifest, package(), first_gpu()).folder == bundle.with_name("tiny.engines")


def test_what_is_built_is_found_by_another_process(engines_of, trt):
    build_all(engines_of())
    again = engines_of()
    assert again.missing() == []
    plan, part = again.find(again._manifest.component("unet"))
    assert plan.is_file()
    assert part.artifact == plan.name
    assert part.bound.device == "sm89"
    assert part.bound.versions == {"tensorrt": "10.14.1.48"}
    assert part.memory["weights_bytes"] > 0
    assert part.memory["scratch_bytes"] > 0


def test_a_build_says_its_steps_and_is_there_at_its_end(engines_of):
    engines = engines_of()
    part = engines.missing()[0]
    steps = [str(step) for step in engines.build(part)]
    assert steps[0] == "Building Engine from Network 0/3"
    assert names(engines.missing()) == NAMES[1:]


def test_a_build_that_is_given_up_leaves_nothing(engines_of):
    engines = engines_of()
    steps = engines.build(engines.missing()[0])
    next(steps)
    steps.close()
    assert list(engines.folder.iterdir()) == []
    assert names(engines.missing()) == NAMES


def test_one_folder_serves_several_gpus_and_releases(engines_of, gpu, trt):
    build_all(engines_of())
    gpu.cards = [Card("A100", 8, 0)]
    build_all(engines_of())
    trt.install("11.0.0.114")
    engines = engines_of()
    assert names(engines.missing()) == NAMES
    build_all(engines)
    assert len(plans_in(engines)) == 12
    gpu.cards = [Card("NVIDIA GeForce RTX 4090", 8, 9)]
    trt.install("10.14.1.48")
    assert engines_of().missing() == []


@pytest.mark.parametrize(
    "change",
    [
        {"options": BuildOptions(optimization_level=5)},
        {"target": "tensorrt:ampere"},
    ],
)
def test_other_options_are_other_engines(engines_of, change):
    build_all(engines_of())
    assert names(engines_of(**change).missing()) == NAMES


def test_another_model_of_the_same_architecture_has_its_own(engines_of, gpu):
    build_all(engines_of())
    gpu.cards = [Card("NVIDIA L4", 8, 9)]
    assert names(engines_of().missing()) == NAMES


def test_a_component_whose_files_have_changed_is_built_again(engines_of, bundle):
    build_all(engines_of())
    files = read_manifest(bundle).files
    changed = {**files, "unet/model.onnx.data": replace(files["unet/model.onnx.data"], sha256="0" * 64)}
    assert names(engines_of(files=changed).missing()) == ["unet"]


def test_what_was_measured_of_a_component_does_not_count(engines_of, bundle):
    build_all(engines_of())
    parts = tuple(replace(part, quality={"relative_error": 0.5}) for part in read_manifest(bundle).components)
    engines = engines_of(components=parts)
    assert engines.missing() == []
    assert {part.quality["relative_error"] for part in engines.built()} == {0.5}


def test_a_plan_that_is_cut_short_is_missing_again(engines_of):
    engines = engines_of()
    build_all(engines)
    plan, _ = engines.find(engines._manifest.component("unet"))
    plan.write_bytes(plan.read_bytes()[:-1])
    assert names(engines_of().missing()) == ["unet"]
    with pytest.raises(NotBuilt, match=r"^unet: unet-sm89-.*\.plan is not whole, or not of this bundle$"):
        engines.find(engines._manifest.component("unet"))
    build_all(engines)
    assert engines_of().missing() == []


@pytest.mark.parametrize("card", ["", "[]", "{}", "null", "{", '{"format": 99}'])
def test_a_card_that_can_not_be_read_is_as_none(engines_of, card):
    engines = engines_of()
    build_all(engines)
    plan, _ = engines.find(engines._manifest.component("unet"))
    plan.with_suffix(".json").write_text(card)
    assert names(engines.missing()) == ["unet"]


def test_a_card_of_another_format_is_as_none(engines_of):
    engines = engines_of()
    build_all(engines)
    plan, _ = engines.find(engines._manifest.component("unet"))
    card = plan.with_suffix(".json")
    table = json.loads(card.read_text())
    card.write_text(json.dumps({**table, "format": FORMAT + 1}))
    assert names(engines.missing()) == ["unet"]


def test_a_plan_without_its_card_is_missing(engines_of):
    engines = engines_of()
    build_all(engines)
    plan, _ = engines.find(engines._manifest.component("unet"))
    plan.with_suffix(".json").unlink()
    assert names(engines.missing()) == ["unet"]


def test_engines_are_verified_once_they_are_said_to_be(engines_of):
    engines = engines_of()
    build_all(engines)
    assert not engines.verified
    engines.mark_verified()
    assert engines.verified
    assert engines_of().verified


def test_what_was_verified_holds_for_these_engines_alone(engines_of):
    engines = engines_of()
    build_all(engines)
    engines.mark_verified()
    assert not engines_of(options=BuildOptions(optimization_level=1)).verified


def test_two_gpus_that_share_a_folder_are_each_verified_once(engines_of, gpu):
    engines = engines_of()
    build_all(engines)
    engines.mark_verified()
    gpu.cards = [Card("A100", 8, 0)]
    build_all(engines_of())
    engines_of().mark_verified()
    gpu.cards = [Card("NVIDIA GeForce RTX 4090", 8, 9)]
    assert engines_of().verified


@pytest.mark.parametrize("content", ["", "[]", "{", '{"unet": 3}'])
def test_a_mark_that_can_not_be_read_is_none(engines_of, content):
    engines = engines_of()
    build_all(engines)
    engines.mark_verified()
    next(engines.folder.glob(f"*{VERIFIED}")).write_text(content)
    assert not engines.verified


def test_what_is_discarded_is_gone(engines_of):
    engines = engines_of()
    build_all(engines)
    engines.discard()
    assert plans_in(engines) == []
    assert names(engines.missing()) == NAMES


def test_discarding_leaves_the_engines_of_other_gpus(engines_of, gpu):
    build_all(engines_of())
    gpu.cards = [Card("A100", 8, 0)]
    other = engines_of()
    build_all(other)
    other.discard()
    assert len(plans_in(other)) == 4


def test_discarding_what_is_not_there_is_no_error(engines_of):
    engines_of().discard()


@pytest.mark.parametrize("options", [BuildOptions(), BuildOptions(strip_weights=True)])
def test_an_engine_opens_and_computes(engines_of, plans, options):
    engines = engines_of(options=options)
    for part in engines.missing():
        list(engines.build(part))
        plans.agree(engines.open(part, EngineOptions()), part.name)


def test_opening_what_is_not_built_says_so(engines_of):
    engines = engines_of()
    with pytest.raises(NotBuilt):
        engines.open(engines._manifest.component("unet"), EngineOptions())


def test_engines_for_all_gpus_from_ampere_on_are_portable(engines_of, trt):
    engines = engines_of(target="tensorrt:ampere")
    build_all(engines)
    assert {build.hardware for build in trt.builds} == {"AMPERE_PLUS"}
    assert {part.bound.device for part in engines.built()} == {"ampere"}


def test_timings_are_shared_by_the_components(engines_of, trt):
    engines = engines_of()
    build_all(engines)
    assert [path.name for path in engines.folder.glob("*.timings")] == ["sm89-10.14.1.48.timings"]
    engines.discard()
    build_all(engines)
    assert [build.timed for build in trt.builds[4:]] == [0, 0, 0, 0]


def test_a_build_that_fails_leaves_nothing(engines_of, trt):
    trt.refuses_to_build = "no implementation"
    engines = engines_of()
    with pytest.raises(SessionFailed, match="no implementation"):
        list(engines.build(engines.missing()[0]))
    assert list(engines.folder.iterdir()) == []
