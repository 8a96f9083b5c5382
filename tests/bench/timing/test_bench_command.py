"""Bundles measured from the command line, and two measurements compared."""

import csv
import json
import shutil
from dataclasses import replace

import pytest
from click.testing import CliRunner

from aquatint.bench.timing.result import read_result, stages, write_result
from aquatint.cli import cli
from aquatint.runtime.errors import BadRequest, Error, TargetMismatch

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
    point = result.run.points[0]
    series = tuple(
        replace(of, samples=tuple(replace(s, steps=tuple(factor * t for t in s.steps)) for s in of.samples * 10))
        for of in point.series
    )
    return replace(result, run=replace(result.run, points=(replace(point, series=series),)))


def test_every_bundle_has_a_line_and_every_stage_one_of_its_own(measured):
    output = measured[0]
    lines = [line.split() for line in output.splitlines()]
    assert [line[1] for line in lines[2:4]] == ["ort:cpu", "openvino:cpu"]
    for stage in ("picture", "step", "host", "text_encoder", "vae_decoder"):
        assert sum(line[:1] == [stage] for line in lines) == 2
    assert "2 CPUs" in output or "CPU" in output


def test_the_file_holds_every_sample_and_adds_up(measured):
    run = read_result(measured[1]).run
    assert [of.opened.target for of in run.subjects] == ["ort:cpu", "openvino:cpu"]
    for of, series in zip(run.subjects, run.points[0].series, strict=True):
        assert len(series.samples) == 2
        (cold,), (warm,) = of.loads.cold, of.loads.warm
        assert of.first_picture_s > warm.ready_s > warm.load_s > 0
        assert cold.ready_s > cold.load_s > 0
        assert of.memory.peak is None or of.memory.peak >= of.memory.steady > 1e6
        for sample in series.samples:
            assert len(sample.steps) == len(sample.host) == 2
            assert all(0 <= host <= step for host, step in zip(sample.host, sample.steps, strict=True))
            assert sum(sample.steps) + sum(sample.stages.values()) < sample.total
    pictures = sum(sample.total for series in run.points[0].series for sample in series.samples)
    assert run.load.seconds > 0.9 * pictures


def test_the_samples_are_rows_too(measured):
    with measured[2].open() as file:
        rows = list(csv.DictReader(file))
    point = read_result(measured[1]).run.points[0]
    assert len(rows) == sum(len(samples) for series in point.series for samples in stages(series).values())
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


def test_runs_of_different_calls_are_not_compared(measured, tmp_path):
    result = read_result(measured[1])
    point = result.run.points[0]
    other = replace(point, call=replace(point.call, steps=20))
    write_result(replace(result, run=replace(result.run, points=(other,))), tmp_path / "other.json")
    with pytest.raises(BadRequest, match=r"printed 64x64, 3 steps, .* 64x64, 20 steps; compare the same call"):
        call("compare", measured[1], tmp_path / "other.json")


def test_a_bundle_that_can_not_run_here_says_why(workshop):
    with pytest.raises(TargetMismatch, match="ort:abacus is not on this machine"):
        call(workshop.bundle("tiny-sd", "ort:cpu"), *BRIEF, "--device", "abacus")


def test_a_sweep_skips_what_the_bundle_was_not_built_for_and_goes_on(workshop, tmp_path):
    bundle = workshop.bundle("tiny-sd", "ort:cpu")
    said = call(bundle, *BRIEF, "--sweep", "size=64,72 batch=1,2", "--json", tmp_path / "a.json").output
    points = read_result(tmp_path / "a.json").run.points
    assert [(p.call.images, p.call.height, bool(p.series[0].samples)) for p in points] == [
        (1, 64, True), (1, 72, False), (2, 64, True), (2, 72, False),
    ]  # fmt: skip
    assert "72" in points[1].series[0].skipped
    assert said.count("was built for 64x64") == 2


def test_with_too_little_memory_it_says_so_and_fails(workshop):
    with pytest.raises(Error, match=r"tiny-sd.*: "):
        call(workshop.bundle("tiny-sd", "ort:cpu"), *BRIEF, "--memory-limit", "60MB", "--memory-by", "space")


def test_one_bundle_that_breaks_is_named_at_the_end_and_the_other_is_measured(workshop, tmp_path):
    whole, broken = workshop.bundle("tiny-sd", "ort:cpu"), tmp_path / "broken"
    shutil.copytree(whole, broken)
    manifest = json.loads((broken / "manifest.json").read_text())
    (broken / next(name for name in manifest["files"] if name.endswith(".onnx"))).write_bytes(b"none")
    with pytest.raises(BadRequest, match=r"^not measured to the end: broken$"):
        call(whole, broken, *BRIEF, "--json", tmp_path / "a.json")
    run = read_result(tmp_path / "a.json").run
    assert [len(series.samples) for series in run.points[0].series] == [2, 0]
    assert run.subjects[1].failed == run.points[0].series[1].skipped


def test_quality_is_that_of_the_golden_images(workshop, tmp_path):
    bundle = workshop.bundle("tiny-sd", "ort:cpu")
    call(bundle, *BRIEF, "--quality", "--json", tmp_path / "a.json")
    (of,) = read_result(tmp_path / "a.json").run.subjects
    goldens = json.loads((bundle / "manifest.json").read_text())["verification"]["goldens"]
    expected = [golden["psnr_db"] for golden in goldens if golden["start"] is None]
    assert [one.psnr_db for one in of.quality.pictures] == pytest.approx(expected, abs=1.5)
    assert all(one.flip < 0.01 for one in of.quality.pictures)


@pytest.mark.parametrize(
    "words, says",
    [
        (("--memory-limit", "lots"), "--memory-limit is 'lots'"),
        (("--judge",), "the judge knows the demo model's pictures alone"),
        (("--prompts", "/nowhere/at/all.txt"), "can't read /nowhere/at/all.txt"),
        (("--minutes", "-1"), "minutes is -1.0"),
        (("--sweep", "fast"), "--sweep has 'fast'"),
        (("--json", "/nowhere/a.json"), "there is no folder /nowhere"),
    ],
)
def test_what_can_not_be_is_refused_before_anything_is_loaded(workshop, monkeypatch, words, says):
    monkeypatch.setattr("aquatint.bench.timing.subject.Subject.open", lambda self: pytest.fail("it was loaded"))
    with pytest.raises(Error) as raised:
        call(workshop.bundle("tiny-sd", "ort:cpu"), *BRIEF, *words)
    assert says in str(raised.value)
