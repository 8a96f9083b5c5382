"""The worker that prints with rivals, in environments that have nothing of ours."""

import ast
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from aquatint.bench.timing.call import Call
from aquatint.bench.timing.command import BASELINE
from aquatint.bench.timing.order import Order
from aquatint.bench.timing.subject import Subject, WorkerFailed
from aquatint.runtime.pixels import psnr_db

CALL = Call("a red circle", 3, 4, 7.5, 64, 64)


def test_it_imports_nothing_but_the_standard_library_before_it_is_asked():
    tree = ast.parse(BASELINE.read_text())
    top = {name.name.split(".")[0] for node in tree.body if isinstance(node, ast.Import) for name in node.names}
    top |= {node.module.split(".")[0] for node in tree.body if isinstance(node, ast.ImportFrom)}
    assert top <= set(sys.stdlib_module_names)
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))


@pytest.fixture(scope="module")
def diffusers(workshop):
    order = Order("diffusers fp32", "diffusers", str(workshop.checkpoint("tiny-sd")), "fp32", threads=1)
    with Subject(order, CALL) as subject:
        subject.open()
        yield subject


def test_diffusers_prints_the_same_picture_as_the_bundle(diffusers, workshop, tmp_path):
    sample = diffusers.take(CALL, tmp_path / "theirs.png")
    with Subject(Order("ours", "bundle", str(workshop.bundle("tiny-sd", "ort:cpu"))), CALL) as ours:
        ours.open()
        ours.take(CALL, tmp_path / "ours.png")
    with Image.open(tmp_path / "theirs.png") as theirs, Image.open(tmp_path / "ours.png") as printed:
        assert np.asarray(theirs).std() > 1  # a picture at all
        assert psnr_db(printed, theirs) > 60  # both in float32
    assert len(sample.steps) == len(sample.host) == CALL.steps - 1
    assert set(sample.stages) == {"text_encoder", "vae_decoder"}
    assert all(0 < host < step for host, step in zip(sample.host, sample.steps, strict=True))
    assert sum(sample.steps) + sum(sample.stages.values()) < sample.total


def test_it_says_its_packages(diffusers):
    assert {"torch", "diffusers"} <= set(diffusers.opened.packages)
    assert diffusers.opened.target == "torch:cpu"


def test_what_goes_wrong_in_a_package_is_one_line(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    with Subject(Order("x", "diffusers", str(tmp_path)), CALL) as subject, pytest.raises(WorkerFailed) as raised:
        subject.open()
    assert str(raised.value).startswith("x: ")
    assert "\n" not in str(raised.value)


GENAI = """
class TorchGenerator:
    def __init__(self, seed): self.seed = seed

class Text2ImagePipeline:
    made = []
    def __init__(self, folder): self.said = [("open", folder)]; Text2ImagePipeline.made.append(self)
    def reshape(self, *sizes): self.said.append(("reshape", sizes))
    def compile(self, device, **settings): self.said.append(("compile", device, settings))
    def generate(self, prompt, generator, callback, num_inference_steps, **words):
        import numpy, sys
        print("chatter")
        for number in range(num_inference_steps):
            assert callback(number, num_inference_steps, None) is False
        print(self.said, generator.seed, words, file=sys.stderr)
        class Tensor: data = numpy.full((1, 8, 8, 3), 200, numpy.uint8)
        return Tensor
    def get_performance_metrics(self):
        class Metrics:
            def get_text_encoder_infer_duration(self): return {"text_encoder": 4.0}
            def get_vae_decoder_infer_duration(self): return 2.0
        return Metrics()
"""


def test_genai_gets_fixed_sizes_the_same_noise_and_tells_its_parts(tmp_path):
    """With a module that has the names which its 2026.4 has; the real one was run by hand."""
    (tmp_path / "openvino_genai.py").write_text(GENAI)
    (tmp_path / "model_index.json").write_text("{}")
    order = {"kind": "openvino-genai", "folder": str(tmp_path), "dtype": "fp16", "device": None, "threads": 2}
    call = {"prompt": "a boat", "seed": 7, "steps": 3, "guidance_scale": 7.5, "height": 8, "width": 8, "images": 1}
    call["scheduler"] = None
    asks = json.dumps({"call": call, "save": str(tmp_path / "x.png"), "stages": False}) + "\n"
    done = subprocess.run(
        [sys.executable, str(BASELINE), json.dumps(order), json.dumps(call)], input=asks, capture_output=True,
        text=True, env={"PYTHONPATH": str(tmp_path)}, check=True,
    )  # fmt: skip
    opened, sample = map(json.loads, done.stdout.splitlines())
    assert opened["target"] == "openvino:cpu"
    assert sample["stages"] == {"text_encoder": 0.004, "vae_decoder": 0.002}
    assert len(sample["steps"]) == 2
    assert sample["host"] is None
    settings = "{'PERFORMANCE_HINT': 'LATENCY', 'INFERENCE_PRECISION_HINT': 'f16', 'INFERENCE_NUM_THREADS': 2}"
    assert f"('reshape', (1, 8, 8, 7.5)), ('compile', 'CPU', {settings})] 7 " in done.stderr
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.getpixel((0, 0)) == (200, 200, 200)
