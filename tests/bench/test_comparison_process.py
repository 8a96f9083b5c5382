"""How a trial's process ends, and what is said of it."""

import os
import sys

import pytest

from aquatint.bench.comparison_process import Failed, run_process
from aquatint.bench.comparison_trial import Job


def run(folder, job):
    work = run_process(job, folder)
    while True:
        try:
            next(work)
        except StopIteration as stop:
            return stop.value


@pytest.fixture
def job(tmp_path):
    return Job(str(tmp_path / "gone"), ("a boat",), 0, 3, 7.5, None)


@pytest.fixture
def python(tmp_path, monkeypatch):
    """Put a shell script in Python's place."""
    if sys.platform == "win32":
        pytest.skip("needs a shell")

    def install(script):
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return install


def test_an_error_of_ours_is_its_own_line(tmp_path, job):
    found = run(tmp_path, job)
    assert found == Failed(f"{tmp_path / 'gone'} is no bundle: it has no manifest.json")


@pytest.mark.parametrize(
    "script, reason",
    [
        ("kill -9 $$", "its process was killed by SIGKILL, as Linux does where memory runs out"),
        ("kill -11 $$", "its process was killed by SIGSEGV"),
        ("echo first >&2; echo the last words >&2; exit 3", "its process ended with code 3: the last words"),
        ("exit 0", "its process ended with code 0: it said nothing"),
    ],
)
def test_any_other_end_has_a_reason_too(python, tmp_path, job, script, reason):
    python(script)
    assert run(tmp_path, job) == Failed(reason)


def test_a_caller_that_stops_ends_the_process(python, tmp_path, job):
    python(f"echo $$ > {tmp_path}/pid; echo done; exec sleep 60")
    work = run_process(job, tmp_path)
    next(work)
    pid = int((tmp_path / "pid").read_text())
    work.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
