"""Bundles measured from the command line, and two measurements compared."""

import csv
import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from aquatint.bench.timing.result import read_result, stages, write_result
from aquatint.cli import cli
from aquatint.runtime.errors import BadRequest

BRIEF = ("--steps", "3", "--least", "2", "--most", "2", "--threads", "1")


def call(*words):
    return CliRunner().invoke(cli, ["bench", *map(str, words)], catch_exceptions=False, standalone_mode=False)


@pytest.fixture(scope="module")
def measured(workshop, tmp_path_factory):
    """Two engines' bundles of one tiny model, measured once: what was printed, and the files."""
    folder = tmp_path_factory.mktemp("bench")
    bundles = [workshop.bundle("tiny-sd", target) for target in ("ort:cpu", "openvino:cpu")]
    said = call(*bundles, *BRIEF, "--stages", "--json", folder / "a.json", "--csv", folder / "a.csv")
    return said.output, folder / "a.json", folder / "a.csv"


def slowed(result, factor):
    """The same, as if every step had taken longer by that."""
    subjects = tuple(
        replace(of, samples=tuple(replace(s, steps=tuple(factor * t for t in s.steps)) for s in of.samples * 10))
        for of in result.run.subjects
    )
    return replace(result, run=replace(result.run, subjects=subjects))


def test_every_bundle_has_a_line_and_every_stage_one_of_its_own(measured):
    output = measured[0]
    lines = [line.split() for line in output.splitlines()]
    assert [line[1] for line in lines[1:3]] == ["ort:cpu", "openvino:cpu"]
    for stage in ("picture", "step", "host", "text_encoder", "vae_decoder"):
        assert sum(line[:1] == [stage] for line in lines) == 2
    assert "2 CPUs" in output or "CPU" in output


def test_the_file_holds_every_sample_and_adds_up(measured):
    result = read_result(measured[1])
    assert [of.target for of in result.run.subjects] == ["ort:cpu", "openvino:cpu"]
    for of in result.run.subjects:
        assert len(of.samples) == 2
        assert of.first_picture_s > of.load_s > 0
        assert of.memory.peak is None or of.memory.peak >= of.memory.steady > 1e6
        for sample in of.samples:
            assert len(sample.steps) == len(sample.host) == 2
            assert all(0 <= host <= step for host, step in zip(sample.host, sample.steps, strict=True))
            assert sum(sample.steps) + sum(sample.stages.values()) < sample.total
    assert result.run.load.seconds > sum(sample.total for of in result.run.subjects for sample in of.samples) * 0.9


def test_the_samples_are_rows_too(measured):
    with measured[2].open() as file:
        rows = list(csv.DictReader(file))
    result = read_result(measured[1])
    assert len(rows) == sum(len(samples) for of in result.run.subjects for samples in stages(of).values())
    assert {row["stage"] for row in rows} >= {"picture", "step", "text_encoder"}


def test_a_measurement_is_not_slower_than_itself(measured, tmp_path):
    write_result(slowed(read_result(measured[1]), 1), tmp_path / "same.json")
    assert "slower" not in call("compare", tmp_path / "same.json", tmp_path / "same.json").output


def test_a_slower_one_fails_and_names_the_stage(measured, tmp_path):
    result = read_result(measured[1])
    write_result(slowed(result, 1), tmp_path / "old.json")
    write_result(slowed(result, 3), tmp_path / "new.json")
    with pytest.raises(BadRequest, match=r"^slower by more than 5%: step, step$"):
        call("compare", tmp_path / "old.json", tmp_path / "new.json")
    assert "slower" not in call("compare", tmp_path / "new.json", tmp_path / "old.json").output
    found = json.loads(call("compare", tmp_path / "new.json", tmp_path / "old.json", "--json").output)
    assert found[0]["verdicts"]


def test_too_few_samples_are_no_all_clear(measured):
    with pytest.raises(BadRequest, match=r"^too few samples, or gone in .*: "):
        call("compare", measured[1], measured[1])


@pytest.mark.parametrize("share", ["much", "5 percent"])
def test_a_share_that_is_none_is_refused(measured, share):
    with pytest.raises(BadRequest, match="must be a share such as 5%"):
        call("compare", measured[1], measured[1], "--fail-over", share)


def test_a_file_that_is_no_result_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"format": 99}')
    with pytest.raises(BadRequest, match=r"no result of aquatint bench that this version reads \(format 99\)"):
        call("compare", tmp_path / "x.json", tmp_path / "x.json")


def test_a_bundle_that_can_not_run_here_says_why(workshop):
    from aquatint.bench.timing.subject import WorkerFailed

    bundle = workshop.bundle("tiny-sd", "ort:cpu")
    with pytest.raises(WorkerFailed, match="ort:abacus is not on this machine"):
        call(bundle, *BRIEF, "--device", "abacus")
