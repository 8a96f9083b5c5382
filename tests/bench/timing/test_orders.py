"""Who is measured, from the words of the command line."""

import sys

import pytest

from aquatint.bench.timing.order import Order
from aquatint.bench.timing.orders import Machinery, baseline_orders, bundle_orders, checkpoint_of
from aquatint.runtime.errors import BadRequest, MissingPackage, TargetMismatch


@pytest.fixture(scope="module")
def first(workshop):
    return bundle_orders([workshop.bundle("tiny-sd", "ort:cpu")], Machinery(threads=2))[0]


def baseline(word, first, checkpoint=None, pythons=()):
    return baseline_orders([word], checkpoint, pythons, first)[0]


def test_a_baseline_gets_the_checkpoint_the_threads_and_a_name_that_says_its_type(first, workshop):
    folder = checkpoint_of(workshop.bundle("tiny-sd", "ort:cpu"))
    assert folder == str(workshop.checkpoint("tiny-sd"))
    found = baseline("diffusers:bf16", first, folder)
    assert found == Order("diffusers bf16", "diffusers", folder, "bf16", threads=2)
    assert baseline("diffusers", first, folder).dtype == "fp32"


@pytest.mark.parametrize("word", ["torch", "diffusers:int8", "bundle", ""])
def test_a_word_that_names_none_gets_the_list(word, first, tmp_path):
    with pytest.raises(BadRequest, match="KIND one of diffusers, diffusers-compile, optimum, openvino-genai"):
        baseline(word, first, str(tmp_path))


def test_without_a_checkpoint_it_says_how_to_name_one(first):
    with pytest.raises(BadRequest, match="--checkpoint FOLDER"):
        baseline("diffusers", first)
    with pytest.raises(BadRequest, match="--baseline openvino-genai=FOLDER"):
        baseline("openvino-genai", first, "somewhere")


def test_a_folder_that_is_no_checkpoint_is_refused(first, tmp_path):
    with pytest.raises(BadRequest, match=r"has no model_index.json; it must be a checkpoint"):
        baseline(f"diffusers={tmp_path}", first)


def test_an_environment_without_the_packages_says_what_to_install(first, tmp_path):
    import venv

    venv.create(tmp_path / "empty", with_pip=False)
    python = tmp_path / "empty" / "bin" / "python"
    with pytest.raises(MissingPackage, match=r"--baseline openvino-genai: .* has no openvino_genai; pip install openv"):
        baseline("openvino-genai=x", first, pythons=[f"openvino-genai={python}"])


def test_what_is_no_interpreter_is_refused(first, tmp_path):
    with pytest.raises(BadRequest, match="there is no interpreter"):
        baseline("diffusers", first, "x", [str(tmp_path / "python")])
    (tmp_path / "python").write_text("#!/bin/sh\necho hello\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(BadRequest, match="is no interpreter that runs our worker"):
        baseline("diffusers", first, "x", [str(tmp_path / "python")])


def test_an_interpreter_for_one_kind_leaves_the_others_alone(first, workshop):
    folder = str(workshop.checkpoint("tiny-sd"))
    assert baseline("diffusers", first, folder, [f"optimum={sys.executable}"]).python is None
    assert baseline("diffusers", first, folder, [f"diffusers={sys.executable}"]).python == sys.executable
    assert baseline("diffusers", first, folder, [sys.executable]).python == sys.executable


def test_a_bundle_for_a_device_that_is_not_here_is_refused_before_all(workshop):
    with pytest.raises(TargetMismatch, match="ort:abacus is not on this machine"):
        bundle_orders([workshop.bundle("tiny-sd", "ort:cpu")], Machinery("abacus"))
