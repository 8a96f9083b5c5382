"""One stage in a process of its own: started, listened to, its end understood."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aquatint.bench.timing.vram import Meter, Sampling
from aquatint.runtime.record import to_table
from aquatint.tests.gpu.protocol import DONE, EVENT, JOB, REASON, STDERR, read_event

SHOWN_LINES = 5  # of stderr, where a process failed


def run_work(
    work: str,
    job: Any,
    folder: Path,
    *,
    meter: Meter | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 7200.0,
) -> dict[str, Any]:
    """Have `work` (a module beside this one) do the job; returns what is to be recorded of it.

    ok; error: in words, or None; seconds: from before the process starts to its end; events: what it told, with at_s
    from the same moment by this process's clock, and the GPU's memory then; result: what it gave; vram: the peaks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / REASON).unlink(missing_ok=True)  # of an earlier proof in the same place
    (folder / JOB).write_text(json.dumps({"work": work, "job": to_table(job)}, indent=2), encoding="utf-8")
    # -P: modules are not looked for in the folder that the user happens to be in.
    command = [sys.executable, "-P", "-m", f"{__package__}.worker", str(folder)]
    with (folder / STDERR).open("wb") as errors, Sampling(meter) as sampling:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace",
            env={**os.environ, **(environment or {})}, start_new_session=True,
        )  # fmt: skip
        sampling.begin(process.pid)
        late = threading.Event()
        alarm = threading.Timer(timeout_s, _end_late, (process, late))
        alarm.start()
        events = []
        try:
            assert process.stdout is not None
            for line in process.stdout:
                told = read_event(line)
                if told is not None:
                    events.append({**told, "at_s": time.perf_counter() - start, **sampling.now()})
                if told is not None and told[EVENT] == DONE:
                    break  # what it started may hold the pipe open
            code = process.wait()
        finally:
            alarm.cancel()
            _end(process)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        seconds = time.perf_counter() - start
    result = next((told for told in events if told[EVENT] == DONE), None)
    error = None
    if code or result is None:
        error = f"it took longer than {timeout_s:.0f} s" if late.is_set() else _reason(code, folder)
    return {
        "ok": error is None,
        "error": error,
        "seconds": seconds,
        "events": [told for told in events if told[EVENT] != DONE],
        "result": None if result is None else result["result"],
        "vram": sampling.summary(),
    }


def at_s(outcome: Mapping[str, Any], event: str) -> float | None:
    """When the process told of an event first."""
    return next((told["at_s"] for told in outcome["events"] if told[EVENT] == event), None)


def _end(process: subprocess.Popen[str]) -> None:
    """With all that it started, such as compilers."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _end_late(process: subprocess.Popen[str], late: threading.Event) -> None:
    late.set()
    _end(process)


def _reason(code: int, folder: Path) -> str:
    if (folder / REASON).is_file():
        return (folder / REASON).read_text(encoding="utf-8")
    said = (folder / STDERR).read_text(encoding="utf-8", errors="replace").splitlines()
    last = " | ".join([line.strip() for line in said if line.strip()][-SHOWN_LINES:]) or "it said nothing"
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
        return f"its process was killed by {name}: {last}"
    return f"its process ended with code {code}: {last}"
