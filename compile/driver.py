"""From a plan to a verified bundle: the order of things."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from ..runtime.bundle import Bundle
from ..runtime.goldens import print_goldens
from ..runtime.manifest import write_manifest
from ..runtime.session import EngineOptions
from .assemble import Staging
from .build import cached_artifact
from .cache import Cache
from .cases import read_cases
from .onnx_source import OnnxSource
from .plan import Plan
from .source import Source
from .torch_source import TorchSource
from .verify import verify_component


@dataclass(frozen=True)
class Progress:
    """What is about to be done.  index: from 0 to total - 1."""

    index: int
    total: int
    label: str


def compile_bundle(plan: Plan, cache: Cache) -> Generator[Progress, None, Path]:
    """Yield each stage as it begins; returns the bundle's folder.

    Raises QualityMissed or NonFinite where the result is not good enough; then there is no bundle.
    Killed at any moment it leaves none either, and the next run takes up from the cache.
    """
    cache.sweep()
    source: Source = OnnxSource(plan, cache) if plan.checkpoint.is_onnx else TorchSource(plan, cache)
    names = [part.name for part in plan.components]
    labels = [f"record and export: {stage}" for stage in source.stages]
    labels += [*(f"build {name}" for name in names), *(f"verify {name}" for name in names), "print the golden images"]
    progress = (Progress(index, len(labels), label) for index, label in enumerate(labels))

    for stage in source.stages:
        yield next(progress)
        source.run(stage)

    with Staging(plan) as staging:
        for component in plan.components:
            yield next(progress)
            recipe = plan.recipes[component.name]
            place = cached_artifact(source, component, recipe, plan.shapes, plan.target, cache)
            staging.add_artifact(component, place)
        manifest = staging.finish(source)
        bundle = Bundle(staging.folder, manifest, plan.verify_on, EngineOptions(residency="one"))
        try:
            checked = []
            for component in manifest.components:
                yield next(progress)
                cases = read_cases(source.cases(component.name), component.name)
                checked.append(verify_component(bundle.session(component.name), component, cases, plan.profile.budget))
            bundle.manifest = replace(manifest, components=tuple(checked))
            yield next(progress)
            goldens = print_goldens(bundle)
        finally:
            bundle.close()
        verification = replace(manifest.verification, goldens=tuple(goldens))
        write_manifest(replace(bundle.manifest, verification=verification), staging.folder)
        return staging.publish()
