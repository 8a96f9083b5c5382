"""A trial in a process of its own: started, watched, and its end understood."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from ..runtime.record import from_table, to_table
from .comparison_trial import DONE, JOB, REASON, TRIAL, Job, Trial


@dataclass(frozen=True)
class Failed:
    """Why there is no trial, in one line."""

    reason: str


def run_process(job: Job, folder: Path) -> Generator[None, None, Trial | Failed]:
    """Run the job to its end, whatever that is; yields as each part of it is done.

    folder: empty, for the job and what comes of it.  A caller that stops early ends the process too.
    """
    (folder / JOB).write_text(json.dumps(to_table(job)), encoding="utf-8")
    # -P: modules are not looked for in the folder that the user happens to be in.
    command = [sys.executable, "-P", "-m", f"{__package__}.comparison_trial", str(folder)]
    with (folder / "stderr.txt").open("w+", encoding="utf-8", errors="replace") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace")
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.strip() == DONE:
                    yield
            code = process.wait()
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if code == 0 and (folder / TRIAL).is_file():
            table = json.loads((folder / TRIAL).read_text(encoding="utf-8"))
            return from_table(Trial, table, TRIAL, ValueError)
        errors.seek(0)
        return Failed(_reason(code, folder, errors.read()))


def _reason(code: int, folder: Path, said: str) -> str:
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        memory = ", as Linux does where memory runs out" if name == "SIGKILL" else ""
        return f"its process was killed by {name}{memory}"
    if (folder / REASON).is_file():
        return " ".join((folder / REASON).read_text(encoding="utf-8").split())
    last = next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "it said nothing")
    return f"its process ended with code {code}: {last}"
