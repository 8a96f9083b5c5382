"""A bundle's folder to a pipeline that is ready to print."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .building import build_engines
from .bundle import open_bundle, pipeline_of
from .pipeline import Pipeline
from .session import EngineOptions


def load(folder: str | Path, *, device: str | None = None, hashes: bool = False, **options: Any) -> Pipeline:
    """Open the bundle in `folder` as a pipeline, ready to print: its engines are loaded for the usual size.

    device, hashes: as in open_bundle.  options: the fields of EngineOptions, such as threads and residency.
    A bundle whose engines each machine builds for itself has them built, and verified, the first time: minutes.
    `pipe(prompt, seed=0).images[0].save("out.png")`.
    """
    bundle = open_bundle(folder, device=device, hashes=hashes, options=EngineOptions(**options))
    try:
        for _ in build_engines(bundle):
            pass
        pipe = pipeline_of(bundle)
        pipe.prepare()
    except BaseException:
        bundle.close()  # what was loaded by then would stay on the device
        raise
    return pipe
