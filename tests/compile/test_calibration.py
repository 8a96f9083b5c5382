"""Calibration: what the runtime's own pipeline gives a model's networks, on disk and the same at every run."""

from dataclasses import replace

import numpy as np
import pytest

from aquatint.compile.cache import Cache
from aquatint.compile.calibration import calls_of, check_calls, record
from aquatint.compile.cases import read_cases
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.plan import make_plan
from aquatint.compile.torch_source import TorchSource
from aquatint.compile.verify import relative_error
from aquatint.profiles.profile import Calibration, read_profile
from aquatint.quantize.activations import Activations
from aquatint.runtime.errors import BadProfile
from aquatint.runtime.session import EngineOptions, open_session
from aquatint.runtime.target import Target

WISH = Calibration(images=2, steps=2, rows=8)


@pytest.fixture(scope="module")
def made(workshop, tmp_path_factory):
    """(plan, recording, its source) of a tiny model."""
    found = find_checkpoint(
        str(workshop.checkpoint("tiny-sd")), revision=None, variant=None, config=None, work=workshop.cache
    )
    profile = replace(read_profile("exact"), quantize={"default": "int8"}, calibration=WISH)
    plan = make_plan(found, "ort:cpu", profile, output=tmp_path_factory.mktemp("plan") / "bundle")
    source = TorchSource(plan, Cache(workshop.cache))
    for stage in source.stages:
        source.run(stage)
    return plan, record(plan, source, Cache(workshop.cache)), source


def test_every_call_of_the_denoiser_is_kept_with_what_it_gave(made):
    plan, recording, source = made
    cases = list(read_cases(recording.cases, "unet"))
    # Two pictures of 2 and 3 steps, whose timesteps all differ but the first.
    assert len(cases) == 5
    assert len({float(case.feeds["timestep"][0]) for case in cases}) >= 4
    part = next(part for part in plan.components if part.name == "unet")
    session = open_session(source.graph("unet"), part, Target("ort", "cpu"), plan.shapes, EngineOptions())
    for case in cases:
        outputs = session.run(case.feeds)
        # The float graph on another engine than it may have been recorded with.
        assert relative_error(outputs["out_sample"], case.outputs["out_sample"]) < 1e-4


def test_every_component_is_called_and_watched(made):
    plan, recording, _ = made
    for part in plan.components:
        assert next(read_cases(recording.cases, part.name), None) is not None
        activations = Activations(recording.rows(part.name))
        layers = [assignment.layer for assignment in plan.assignments[part.name]]
        assert layers
        for layer in layers:
            found = activations.of(layer.name)
            assert found is not None
            assert found.low.shape == (len(activations.calls), layer.shape[1])
            for rows, low, high in zip(found.rows, found.low, found.high, strict=True):
                slack = 1e-3 * np.abs(rows).max()  # rows are kept in 16 bits
                assert (low - slack <= rows.min(0)).all()
                assert (rows.max(0) <= high + slack).all()


def test_it_is_the_same_at_every_run(made, workshop, tmp_path):
    plan, recording, source = made
    again = record(plan, source, Cache(tmp_path))
    first, second = (sorted(found.folder.rglob("*.npz")) for found in (recording, again))
    assert [file.relative_to(recording.folder) for file in first] == [file.relative_to(again.folder) for file in second]
    for one, other in zip(first, second, strict=True):
        with np.load(one) as a, np.load(other) as b:
            assert all(np.array_equal(a[name], b[name]) for name in a.files)


def test_nothing_is_left_beside_the_recordings(made):
    assert {path.name for path in made[1].folder.iterdir()} == {"cases", "rows", "key.json"}


def test_a_file_of_ones_own_takes_the_place_of_the_built_in_prompts(made, tmp_path):
    plan, _, _ = made
    file = tmp_path / "mine.txt"
    file.write_text('a red barn\n{"prompt": "a boat", "seed": 7, "guidance_scale": 1.0}\n')
    mine = replace(plan, profile=replace(plan.profile, calibration=replace(WISH, prompts=str(file))))
    assert [(call["prompt"], call["seed"], call["num_inference_steps"]) for call in calls_of(mine)] == [
        ("a red barn", 0, 2),
        ("a boat", 7, 3),
    ]
    check_calls(mine)
    file.write_text('{"prompt": "a boat", "height": 100}\n')
    with pytest.raises(BadProfile, match=r"can't calibrate with 'a boat': .*100"):
        check_calls(mine)
