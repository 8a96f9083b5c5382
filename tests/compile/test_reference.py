"""What is recorded from Diffusers' own pipelines."""

import numpy as np
import pytest
from PIL import Image

from aquatint.compile.cases import read_cases
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.family import find_family
from aquatint.compile.reference import GoldenPlan, Recorder, load_stage
from aquatint.compile.start_picture import start_picture

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

SCALE = 5.0


@pytest.fixture(scope="module")
def recorded(workshop, tmp_path_factory):
    """Records two golden images of a tiny checkpoint; gives the folders of its three stages."""

    def record(name):
        folder = str(workshop.checkpoint(name))
        found = find_checkpoint(folder, revision=None, variant=None, config=None, work=workshop.cache)
        anatomy = find_family(found.configs["model_index"]["_class_name"]).anatomy(found.configs)
        strength = 0.5 if anatomy.settings["image_to_image"] else None
        goldens = tuple(GoldenPlan("a boat", seed, 3, SCALE, 64, 96, None, strength) for seed in range(2))
        folders = {"before": tmp_path_factory.mktemp("none")}
        for stage in ("text", "denoise", "image"):
            into = tmp_path_factory.mktemp(stage)
            before = list(folders.values())[-1]
            Recorder(load_stage(found, anatomy, stage), anatomy, before, into).record(stage, goldens)
            folders[stage] = into
        return folders

    return record


def pictures(workshop, kind, name, **told):
    """Diffusers' own, in one piece."""
    pipe = getattr(diffusers, kind).from_pretrained(workshop.checkpoint(name))
    pipe.set_progress_bar_config(disable=True)
    for seed in range(2):
        generator = torch.Generator().manual_seed(seed)
        yield pipe("a boat", num_inference_steps=3, guidance_scale=SCALE, generator=generator, **told).images[0]


@pytest.mark.parametrize(
    "name, kind",
    [
        ("tiny-sdxl-refiner", "StableDiffusionXLImg2ImgPipeline"),
        ("tiny-sdxl-inpaint", "StableDiffusionXLInpaintPipeline"),
        ("tiny-sdxl", "StableDiffusionXLPipeline"),
    ],
)
def test_stages_one_by_one_print_what_the_whole_pipeline_prints(workshop, recorded, name, kind):
    told = {
        "StableDiffusionXLImg2ImgPipeline": {"image": start_picture(64, 96), "strength": 0.5},
        "StableDiffusionXLInpaintPipeline": {
            "image": Image.new("RGB", (96, 64)), "mask_image": Image.new("L", (96, 64), 255), "strength": 1.0,
            "height": 64, "width": 96,
        },
        "StableDiffusionXLPipeline": {"height": 64, "width": 96},
    }[kind]  # fmt: skip
    into = recorded(name)["image"]
    for index, expected in enumerate(pictures(workshop, kind, name, **told)):
        with Image.open(into / f"golden-{index}.png") as printed:
            # The same float32 operations, grouped alike; a value on the edge of two levels may round either way.
            difference = np.abs(np.asarray(printed, np.int32) - np.asarray(expected, np.int32))
        assert difference.max() <= 1


def test_of_the_first_golden_image_the_text_is_also_recorded_with_a_layer_left_out(recorded):
    into = recorded("tiny-sd")["text"]
    cases = list(read_cases(into, "text_encoder"))
    assert [int(case.feeds["clip_skip"][0]) for case in cases] == [-1, 1, -1, 1, -1, -1]
    whole, skipped = (case.outputs["last_hidden_state"] for case in cases[:2])
    assert np.abs(whole - skipped).max() > 0.1
