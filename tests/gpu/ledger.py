"""What a proof has found so far, written down after every stage."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aquatint.bench.timing.vram import Meter
from aquatint.runtime.pixels import write_whole
from aquatint.tests.gpu.compared import Comparison
from aquatint.tests.gpu.process import run_work
from aquatint.tests.gpu.settings import Settings

FORMAT = 1
RESULT = "result.json"


class Ledger:
    """Runs stages in processes of their own and keeps what came of them.

    folder: for result.json and pictures.  show: is told each stage, and how it ended, in a line.
    """

    def __init__(self, settings: Settings, folder: Path, show: Callable[[str], object]) -> None:
        self.folder = folder
        self.settings = settings
        self.meter: Meter | None = None
        self._show = show
        self.result: dict[str, Any] = {
            "format": FORMAT,
            "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "settings": asdict(settings),
            "environment": {},
            "stages": [],
            "pictures": [],
            "bars": [],
        }

    def run(
        self,
        stage: str,
        work: str,
        job: Any,
        what: Mapping[str, Any],
        environment: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """One stage; returns its entry, which is written down whatever its end.

        what: tells it from others; empty for one that goes without saying.
        """
        if what:
            self._show(f"{stage}: {', '.join(str(word) for word in what.values() if word)}")
        folder = self.folder / "stages" / f"{len(self.result['stages']):02}-{stage}"
        outcome = run_work(
            work, job, folder, meter=self.meter, environment=environment, timeout_s=self.settings.timeout_s
        )
        entry = {"stage": stage, **what, **outcome}
        self.result["stages"].append(entry)
        if what:
            self._show(f"    {outcome['seconds']:.1f} s" if outcome["ok"] else f"    failed: {outcome['error']}")
        self.save()
        return entry

    def fail(self, stage: str, what: Mapping[str, Any], error: str) -> None:
        """A stage that could not even begin."""
        self._show(f"{stage}: {', '.join(map(str, what.values()))}\n    failed: {error}")
        self.result["stages"].append({"stage": stage, **what, "ok": False, "error": error, "events": []})
        self.save()

    def compared(self, model: str, profile: str, found: list[Comparison]) -> None:
        """Pictures that must be alike."""
        for one in found:
            self.result["pictures"].append({"model": model, "profile": profile, **asdict(one), "alike": one.alike})
        if not found:
            return
        worst = min(found, key=lambda one: one.psnr_db - one.least_db)
        self._show(f"    {worst.what} against {worst.against}: {worst.psnr_db:.1f} dB or more")
        self.save()

    def save(self) -> None:
        """Whole or not at all."""
        text = json.dumps(self.result, indent=1, ensure_ascii=False) + "\n"
        write_whole(self.folder / RESULT, lambda beside: beside.write_text(text, encoding="utf-8"))
