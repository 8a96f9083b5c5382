"""`aquatint quantize report`: from bundles to files, figures and words."""

import json
import subprocess
import sys

import pytest
from PIL import Image

from aquatint import cli


@pytest.fixture
def report(capsys, monkeypatch):
    """Run the command in this process: exit code, stdout, stderr."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["aquatint", "quantize", "report", *map(str, words)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        captured = capsys.readouterr()
        return stop.value.code or 0, captured.out, captured.err

    return run


def test_it_writes_the_report_and_prints_the_figures(report, compared, tmp_path):
    output = tmp_path / "found.html"
    words = ("--steps", 3, "--rounds", 1, "--seed", 5, "--prompt", "a boat", "--prompt", "a house", "-o", output)
    code, out, err = report(*compared, *words, "--json")
    assert code == 0, err
    said = json.loads(out)
    assert said["files"] == [str(output), str(tmp_path / "found.png")]
    assert (said["prompts"], said["seed"], said["steps"]) == (["a boat", "a house"], 5, 3)
    first, second = said["entries"]
    assert (said["reference"], first["likeness"]) == (first["name"], None)
    assert len(second["likeness"]["psnr_db"]) == 2
    assert second["size_bytes"] < first["size_bytes"]
    assert "round 1 of 1: loaded in" in err
    assert "a boat" in output.read_text(encoding="utf-8")
    with Image.open(tmp_path / "found.png") as sheet:
        assert sheet.width > 2 * 224


def test_one_bundle_is_refused_in_one_line(report, compared, tmp_path):
    code, out, err = report(compared[0], "-o", tmp_path / "a.html")
    assert (code, out) == (1, "")
    assert err.startswith("aquatint: a comparison needs two bundles or more")
    assert err.count("\n") == 1


def test_a_bad_name_is_refused_before_anything_is_opened(report, tmp_path):
    code, _, err = report(tmp_path / "gone", tmp_path / "too", "-o", tmp_path / "a.pdf")
    assert code == 1
    assert "should end in .html" in err


def test_the_help_needs_nothing_heavy():
    code = "import sys; from aquatint import cli; print(*sorted({'numpy', 'PIL', 'openvino'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "")
