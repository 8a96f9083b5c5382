"""Stage 1: a bundle compiled and verified, with the time of each stage and the compiler's own figures."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aquatint.bench.process_memory import memory_bytes
from aquatint.compile.cache import Cache
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.driver import compile_bundle
from aquatint.compile.plan import make_plan
from aquatint.profiles.profile import read_profile
from aquatint.runtime.manifest import Manifest, read_manifest
from aquatint.tests.gpu.protocol import tell
from aquatint.tests.gpu.settings import Recipe


@dataclass(frozen=True)
class Job:
    """model: what `aquatint compile` takes.  output: the bundle's folder.  cache: finished pieces, kept."""

    recipe: Recipe
    model: str
    target: str
    output: str
    cache: str


def do(job: Job, folder: Path) -> dict[str, Any]:
    """Compile; raises what the compile raises."""
    recipe, cache = job.recipe, Path(job.cache)
    profile = read_profile(recipe.profile)
    sizes = () if recipe.size is None else (f"{recipe.size}x{recipe.size}",)
    profile = replace(profile, shapes=replace(profile.shapes, batch=recipe.batch, sizes=sizes))
    checkpoint = find_checkpoint(job.model, revision=None, variant=None, config=None, work=cache)
    plan = make_plan(checkpoint, job.target, profile, output=Path(job.output), require_device=True)
    store = Cache(cache)
    kept = sum(1 for _ in store.entries())
    stages: list[tuple[str, float]] = []
    for stage in compile_bundle(plan, store):
        stages.append((stage.label, time.perf_counter()))
        tell("stage", label=stage.label)
    ends = [*(start for _, start in stages[1:]), time.perf_counter()]
    return {
        "seconds": ends[-1] - stages[0][1],
        "stages": [{"label": label, "seconds": end - start} for (label, start), end in zip(stages, ends, strict=True)],
        "pieces_in_cache": kept,
        "peak_bytes": memory_bytes("VmHWM"),
        **figures(read_manifest(plan.output)),
    }


def figures(manifest: Manifest) -> dict[str, Any]:
    """What the compile measured, as the manifest says it."""
    goldens = manifest.verification.goldens
    return {
        "bundle_bytes": sum(file.size_bytes for file in manifest.files.values()),
        "verified_on": manifest.verification.target,
        "psnr_db": min(golden.psnr_db for golden in goldens),
        "least_psnr_db": manifest.verification.min_psnr_db,
        "ssim": min((golden.ssim for golden in goldens if golden.ssim is not None), default=None),
        "components": {part.name: {"quality": part.quality, "memory": part.memory} for part in manifest.components},
        "guidance_scale": manifest.defaults.guidance_scale,
        "size": list(manifest.shapes.default_size),
    }
