"""Two bundles of one model, measured in processes of their own and held against each other."""

import sys

import numpy as np
import pytest

from aquatint import load
from aquatint.bench.comparison import compare
from aquatint.bench.comparison_plan import Ask
from aquatint.runtime.likeness import ssim
from aquatint.runtime.manifest import NAME

PROMPTS = ("a boat", "a red house")
ASK = Ask(prompts=PROMPTS, seed=3, steps=3, rounds=1)
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a process its peak")


def run(folders, ask):
    """(comparison, every progress)."""
    work, seen = compare(folders, ask), []
    while True:
        try:
            seen.append(next(work))
        except StopIteration as stop:
            return stop.value, seen


@pytest.fixture(scope="module")
def measured(compared):
    return run(compared, ASK)


@pytest.fixture(scope="module")
def found(measured):
    return measured[0]


def test_sizes_are_those_of_the_files_on_disk(found, compared):
    for entry, folder in zip(found.entries, compared):
        files = [file for file in folder.rglob("*") if file.is_file() and file.name != NAME]
        assert entry.size_bytes == sum(file.stat().st_size for file in files)
        unet = sum(file.stat().st_size for file in (folder / "unet").rglob("*"))
        assert entry.components["unet"] == unet
        assert sum(entry.components.values()) == entry.size_bytes
    assert found.entries[1].size_ratio == found.entries[1].size_bytes / found.entries[0].size_bytes < 1


def test_pictures_are_those_that_a_user_gets_of_the_same_seed(found, compared):
    for folder, pictures in zip(compared, found.pictures):
        pipe = load(folder)
        for prompt, picture in zip(PROMPTS, pictures):
            expected = pipe(prompt, seed=3, num_inference_steps=3).images[0]
            np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))
        pipe.close()


def test_psnr_and_ssim_are_of_each_picture_against_the_reference(found):
    likeness = found.entries[1].likeness
    for index, (reference, picture) in enumerate(zip(*found.pictures)):
        error = np.asarray(picture, np.float64) - np.asarray(reference, np.float64)
        assert likeness.psnr_db[index] == pytest.approx(10 * np.log10(255**2 / np.mean(error**2)))
        assert likeness.ssim[index] == pytest.approx(ssim(picture, reference))
    assert likeness.psnr_summary.worst == min(likeness.psnr_db) < likeness.psnr_summary.mean
    assert likeness.ssim_summary.worst == min(likeness.ssim)
    assert found.entries[0].likeness is None


def test_times_are_measured_and_ratios_are_against_the_first(found):
    first, second = found.entries
    assert first.step_s.ratio.median == first.load_s.ratio.median == 1
    assert second.step_s.ratio.median == pytest.approx(second.step_s.value.median / first.step_s.value.median)
    assert 0 < first.step_s.value.median < first.load_s.value.median  # a step of a tiny model, imports of an engine
    assert (first.failed, first.judged_right) == (None, None)


@ON_LINUX
def test_memory_is_that_of_the_bundles_own_process(found):
    for entry in found.entries:
        # NumPy and ONNX Runtime take 60 MB or more; this process, with torch in it, several times that.
        assert 30e6 < entry.anonymous_bytes.value.median < entry.peak_bytes.value.median < 400e6


def test_progress_counts_every_step_of_every_picture(measured):
    _, seen = measured
    counts = [(now.done, now.total) for now in seen[1:]]
    assert counts[-1] == (12, 12)  # 2 bundles, 2 pictures, 3 steps
    assert counts == sorted(counts)
    assert {now.label for now in seen[1:]} == {
        f"{name}, round 1 of 1" for name in (e.name for e in measured[0].entries)
    }


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
def test_a_bundle_whose_process_is_killed_is_a_row_with_its_reason(compared, tmp_path, monkeypatch):
    """Python is put in place by a script that dies where the job names the second bundle."""
    python = tmp_path / "python"
    name = compared[1].name
    python.write_text(f'#!/bin/sh\ngrep -q {name} "$4/job.json" && kill -9 $$\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    found, _ = run(compared, Ask(prompts=("a boat",), steps=3, rounds=2))
    first, second = found.entries
    assert first.failed is None
    assert first.step_s.value.low <= first.step_s.value.median <= first.step_s.value.high
    assert "SIGKILL" in second.failed
    assert (second.load_s, second.step_s, second.peak_bytes, second.likeness) == (None, None, None, None)
    assert second.size_bytes > 0
    assert [len(pictures) for pictures in found.pictures] == [1, 0]
