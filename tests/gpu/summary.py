"""The samples of a result as figures: one for each engine, its variants, and each baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aquatint.tests.gpu.process import at_s
from aquatint.tests.gpu.timing import FIRST

OURS, BASELINE = "figures", "baseline"
DEFAULTS = "defaults"


@dataclass(frozen=True)
class Figure:
    """Of one model by one engine; None: not measured.

    cold_s, warm_s: from the start of the process to its first picture, with empty caches of kernels and with full ones.
    step_ms, step_p90_ms: median and 90 % of all steps of the warm process.  vram_bytes: its peak; counted: how.
    engine_bytes: what the bundle says that it takes, or what PyTorch reserved.
    """

    model: str
    name: str
    variant: str
    ours: bool
    cold_s: float | None
    warm_s: float | None
    step_ms: float
    step_p90_ms: float
    picture_s: float
    vram_bytes: int | None
    counted: str
    growth_bytes: int | None
    engine_bytes: int | None


def figures(result: Mapping[str, Any]) -> list[Figure]:
    """In the order of the stages."""
    runs: dict[tuple[str, str, str], dict[str, Any]] = {}
    for entry in result["stages"]:
        if entry["stage"] in (OURS, BASELINE) and entry["ok"]:
            key = (entry["model"], entry["name"], str(entry["variant"]))
            runs.setdefault(key, {})[entry["run"]] = entry
    return [_figure(key, found, result) for key, found in runs.items()]


def _figure(key: tuple[str, str, str], runs: dict[str, Any], result: Mapping[str, Any]) -> Figure:
    model, name, variant = key
    timed = runs.get("warm") or runs["cold"]
    steps = 1e3 * np.concatenate([np.asarray(picture, np.float64) for picture in timed["result"]["step_s"]])
    vram = timed["vram"] or {}
    own, growth = vram.get("process_bytes"), vram.get("growth_bytes")
    ours = timed["stage"] == OURS
    return Figure(
        model=model,
        name=name,
        variant=variant,
        ours=ours,
        cold_s=at_s(runs["cold"], FIRST) if "cold" in runs else None,
        warm_s=at_s(runs["warm"], FIRST) if "warm" in runs else None,
        step_ms=float(np.median(steps)),
        step_p90_ms=float(np.percentile(steps, 90)),
        picture_s=float(np.median(timed["result"]["picture_s"])),
        vram_bytes=growth if own is None else own,
        counted="" if not vram else "all of the GPU" if own is None else "the process",
        growth_bytes=growth,
        engine_bytes=_engine_bytes(model, name, result) if ours else timed["result"].get("reserved_bytes"),
    )


def _engine_bytes(model: str, target: str, result: Mapping[str, Any]) -> int | None:
    """Weights of all components, and the largest scratch, as the manifest has them."""
    for entry in result["stages"]:
        known = entry["stage"] == "compile" and entry["ok"]
        if known and (entry["model"], entry["target"], entry["profile"], entry["batch"]) == (
            model,
            target,
            "balanced",
            1,
        ):
            memory = [part["memory"] for part in entry["result"]["components"].values()]
            if any(memory):
                scratch = max(part.get("scratch_bytes", 0) for part in memory)
                return sum(part.get("weights_bytes", 0) for part in memory) + scratch
    return None
