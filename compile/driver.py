"""From a plan to a verified bundle: the order of things."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from ..runtime.bundle import Bundle
from ..runtime.goldens import print_goldens
from ..runtime.manifest import Component, write_manifest
from ..runtime.session import EngineOptions
from ..targets.order import Watch, silent
from .assemble import Staging
from .build import cached_artifact
from .cache import Cache
from .calibration import check_calls, record
from .cases import read_cases
from .culprits import Culprits
from .judged import judge_bundle
from .onnx_source import OnnxSource
from .pace import compare_pace
from .plan import Plan
from .quantized import QuantizedGraphs
from .source import Source
from .torch_source import TorchSource
from .verify import verify_component


@dataclass(frozen=True)
class Progress:
    """What is about to be done.  index: from 0 to total - 1."""

    index: int
    total: int
    label: str


def compile_bundle(plan: Plan, cache: Cache, watch: Watch = silent) -> Generator[Progress, None, Path]:
    """Yield each stage as it begins; returns the bundle's folder.

    watch: is told the steps of a long build.

    Raises QualityMissed or NonFinite where the result is not good enough; then there is no bundle.
    Killed at any moment it leaves none either, and the next run takes up from the cache.
    """
    budget = plan.profile.budget
    if plan.calibrated:
        check_calls(plan)
    cache.sweep()
    source: Source = OnnxSource(plan, cache) if plan.checkpoint.is_onnx else TorchSource(plan, cache)
    names = [part.name for part in plan.components]
    labels = [f"record and export: {stage}" for stage in source.stages]
    labels += ["calibrate"] if plan.calibrated else []
    labels += [*(f"build {name}" for name in names), *(f"verify {name}" for name in names), "print the golden images"]
    labels += [] if budget.judge is None else ["print the judge's prompts"]
    progress = (Progress(index, len(labels), label) for index, label in enumerate(labels))

    for stage in source.stages:
        yield next(progress)
        source.run(stage)
    recording = None
    if plan.calibrated:
        yield next(progress)
        recording = record(plan, source, cache)
    graphs = QuantizedGraphs(source, plan.recipes, recording, cache)

    order = replace(plan.order, watch=watch)
    with Staging(plan) as staging:
        for component in plan.components:
            yield next(progress)
            staging.add_artifact(component, cached_artifact(graphs, component, order, cache))
        manifest = staging.finish(source)
        bundle = Bundle(staging.folder, manifest, plan.verify_on, EngineOptions(residency="one"))
        culprits = Culprits(source, lambda part: graphs.graph(part.name))
        try:
            checked: list[Component] = []
            for component in manifest.components:
                yield next(progress)
                cases = read_cases(source.cases(component.name), component.name)
                session = bundle.session(component.name)
                with culprits.named([component]):
                    verified = verify_component(session, component, cases, budget)
                checked.append(compare_pace(session, verified, plan, graphs))
                bundle.close()
            bundle.manifest = replace(manifest, components=tuple(checked))
            yield next(progress)
            with culprits.named(checked):
                verification = replace(manifest.verification, goldens=tuple(print_goldens(bundle)))
            if budget.judge is not None:
                yield next(progress)
                with culprits.named(checked):
                    verification = replace(verification, judge=judge_bundle(bundle, budget.judge))
        finally:
            bundle.close()
        write_manifest(replace(bundle.manifest, verification=verification), staging.folder)
        return staging.publish()
