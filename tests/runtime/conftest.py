"""A manifest that is right in every field, to be read, changed and broken."""

import pytest

from aquatint.runtime.manifest import Component, Defaults, File, Golden, Manifest, Model, TensorSpec, Verification
from aquatint.runtime.shapes import ShapeRange, Shapes


@pytest.fixture
def manifest() -> Manifest:
    told = TensorSpec("encoder_hidden_states", "float32", ("batch", 77, 32))
    sample = TensorSpec("sample", "float32", ("batch", 4, "height/8", "width/8"))
    return Manifest(
        format=1,
        model=Model("tiny", "sd", "/models/tiny", "main", "mit", {"unet/model.safetensors": "ab"}),
        target="ort:cpu",
        profile="exact",
        pipeline="sd",
        shapes=Shapes(height=ShapeRange(64, 128, 256), width=ShapeRange(64, 192, 256), batch=2, guidance="split"),
        settings={"latent_channels": 4, "scaling_factor": 0.5},
        scheduler={"_class_name": "DDIMScheduler", "trained_betas": None},
        defaults=Defaults(num_inference_steps=20, guidance_scale=7.5),
        components=(
            Component("unet", "unet/model.onnx", "fp16", (sample, told), (sample,), (2,), {"relative_error": 1e-3}),
        ),
        verification=Verification(
            "ort:cpu", "diffusers", 35.0, (Golden("a red circle", 3, 4, 7.5, 128, 192, "golden/0.png", 41.5),)
        ),
        built_with={"aquatint": "0.1.0"},
        requires={"onnxruntime": "1.0"},
        files={"unet/model.onnx": File("00" * 32, 12), "golden/0.png": File("11" * 32, 34)},
        approximations=("none",),
    )
