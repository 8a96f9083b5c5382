"""Stage 2: the pictures of a bundle, for a list of calls."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aquatint.bench.likeness import drawn_mask, drawn_start
from aquatint.runtime.building import build_engines
from aquatint.runtime.bundle import open_bundle, pipeline_of
from aquatint.runtime.denoise import Step
from aquatint.runtime.device.loop import ResidentRun
from aquatint.runtime.session import EngineOptions
from aquatint.tests.gpu.calls import Call
from aquatint.tests.gpu.protocol import tell


@dataclass(frozen=True)
class Job:
    """bundle: its folder.  options: fields of EngineOptions."""

    bundle: str
    calls: tuple[Call, ...]
    options: dict[str, Any] = field(default_factory=dict)


def do(job: Job, folder: Path) -> dict[str, Any]:
    """Print all; returns the files of each call by its name, and the calls whose latents stayed on the device."""
    bundle = open_bundle(job.bundle, options=EngineOptions(**job.options))
    for _ in build_engines(bundle):
        pass
    pipe = pipeline_of(bundle)
    pipe.prepare()
    size = bundle.manifest.shapes.default_size
    files: dict[str, list[str]] = {}
    resident: list[str] = []
    for number, call in enumerate(job.calls):
        given: dict[str, Any] = {"image": drawn_start(size)} if call.start else {}
        given |= {"mask_image": drawn_mask(size)} if call.mask else {}
        if not call.start:
            given |= {"height": size[0], "width": size[1]}
        start = time.perf_counter()
        steps: list[Step] = []
        made = pipe(**call.words, **given, callback=steps.append).images
        seconds = time.perf_counter() - start
        files[call.name] = [str(folder / f"{number}-{index}.png") for index in range(len(made))]
        for picture, file in zip(made, files[call.name], strict=True):
            picture.save(file)
        if isinstance(reader(steps[-1]), ResidentRun):
            resident.append(call.name)
        tell("printed", name=call.name, seconds=seconds)
    pipe.close()
    return {"files": files, "resident": resident}


def reader(step: Step) -> object:
    """What holds the latents of a step: the run on the device, or nothing of the kind."""
    return getattr(getattr(step.read, "func", None), "__self__", None)
