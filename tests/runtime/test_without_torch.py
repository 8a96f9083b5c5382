"""The runtime where nothing but the runtime is installed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABSENT = ("torch", "diffusers", "transformers", "onnx", "onnx_ir", "onnxscript")
PROGRAM = f"""
import importlib.util, sys, json
import aquatint
for name in {ABSENT!r}:
    assert importlib.util.find_spec(name) is None, name
pipe = aquatint.load(sys.argv[1])
image = pipe("a boat", seed=4, num_inference_steps=3).images[0]
image.save(sys.argv[2])
print(json.dumps(sorted(set(module.split(".")[0] for module in sys.modules) & set({ABSENT!r}))))
"""


@pytest.fixture(scope="module")
def device_python(tmp_path_factory):
    """A fresh environment with `pip install aquatint[openvino,ort]` in it, from this tree."""
    place = tmp_path_factory.mktemp("device")
    subprocess.run([sys.executable, "-m", "venv", place / "venv"], check=True)
    python = place / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"{ROOT}[openvino,ort]"], check=True)
    return python


@pytest.mark.slow
@pytest.mark.parametrize("target", ["openvino:cpu", "ort:cpu"])
def test_a_bundle_prints_the_same_picture_where_torch_is_not_installed(workshop, device_python, tmp_path, target):
    import numpy as np
    from PIL import Image

    from aquatint import load

    folder = workshop.bundle("tiny-sd", target)
    command = [device_python, "-c", PROGRAM, folder, tmp_path / "there.png"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tmp_path)
    assert json.loads(printed.stdout) == []
    pipe = load(folder)
    here = pipe("a boat", seed=4, num_inference_steps=3).images[0]
    pipe.close()
    assert np.array_equal(np.asarray(here), np.asarray(Image.open(tmp_path / "there.png")))


@pytest.mark.slow
def test_compile_says_what_to_install_where_torch_is_missing(device_python, tmp_path):
    command = [device_python.parent / "aquatint", "compile", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        'aquatint: compile needs torch, diffusers, transformers, onnx_ir; pip install "aquatint[compile]"'
    )
