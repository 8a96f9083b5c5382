"""Where graphs and reference results come from: a Diffusers checkpoint, or a folder of graphs; both through the cache."""

from __future__ import annotations

import gc
import importlib.metadata
import logging
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from ..runtime.manifest import Component
from ..runtime.session import backend
from .build import artifact_key, build_artifact
from .cache import Cache
from .export import GRAPH, OPSET, export_graph
from .plan import Plan
from .reference import STAGES, load_stage, plan_key, record

log = logging.getLogger(__name__)

EXPORT_FORMAT = 1  # raise it when export or a pass changes what it writes


class Source(Protocol):
    """What a compile needs of the model; everything it gives lies in the cache."""

    stages: tuple[str, ...]
    sha256: dict[str, str]

    def run(self, stage: str) -> None:
        """Make the stage's graphs and its recordings."""

    def artifact(self, component: Component) -> Path:
        """The folder with the component's artifact for the plan's target."""

    def cases(self, component: str) -> Path:
        """The folder whose subfolder `component` holds its recorded calls."""

    def golden(self, index: int) -> Path:
        """The reference's picture."""


def open_source(plan: Plan, cache: Cache) -> Source:
    """The source for the plan's checkpoint; hashes its weights."""
    return TorchSource(plan, cache)


class TorchSource:
    """A checkpoint read by Diffusers: one stage's networks are loaded, recorded, exported and released at a time."""

    stages = STAGES

    def __init__(self, plan: Plan, cache: Cache) -> None:
        self._plan = plan
        self._cache = cache
        folders = dict.fromkeys(network.folder for network in plan.anatomy.networks)
        self._hashes = {folder: plan.checkpoint.sha256(folder) for folder in folders}
        self.sha256 = {name: digest for hashes in self._hashes.values() for name, digest in hashes.items()}
        self._places: dict[str, Path] = {}
        self._graphs: dict[str, Path] = {}

    def run(self, stage: str) -> None:
        plan = self._plan
        networks = [network for network in plan.anatomy.networks if network.stage == stage]
        pipe: Any = None

        def loaded() -> Any:
            nonlocal pipe
            if pipe is None:
                pipe = load_stage(plan.checkpoint, plan.anatomy, stage)
            return pipe

        before = self._places.get(STAGES[max(STAGES.index(stage) - 1, 0)], Path())
        self._places[stage] = self._cache.entry(
            "reference", f"{plan.checkpoint.name} {stage}", self._reference_key(stage),
            lambda into: record(stage, loaded(), plan.anatomy, plan.goldens, before, into),
        )  # fmt: skip
        for network in networks:
            start = time.perf_counter()
            step = int(plan.anatomy.settings["multiple"])
            place = self._cache.entry(
                "graph", f"{plan.checkpoint.name} {network.name}", self._graph_key(network.name),
                lambda into: export_graph(
                    network, getattr(loaded(), network.folder), plan.anatomy.native, step, into
                ).touch(),  # noqa: B023
            )  # fmt: skip
            self._graphs[network.name] = place / GRAPH
            log.info("%s: exported, %.1f s", network.name, time.perf_counter() - start)
        del pipe
        release_memory()

    def artifact(self, component: Component) -> Path:
        plan = self._plan
        start = time.perf_counter()
        key = {
            "graph": self._graph_key(component.name),
            "engine": backend(plan.target).versions(),
            **artifact_key(component, plan.shapes, plan.target),
        }

        def make(folder: Path) -> None:
            build_artifact(self._graphs[component.name], component, plan.shapes, plan.target, folder)

        place = self._cache.entry("artifact", f"{plan.checkpoint.name} {component.name} {plan.target}", key, make)
        release_memory()
        log.info("%s: built, %.1f s", component.name, time.perf_counter() - start)
        return place

    def cases(self, component: str) -> Path:
        stage = next(network.stage for network in self._plan.anatomy.networks if network.name == component)
        return self._places[stage]

    def golden(self, index: int) -> Path:
        return self._places["image"] / f"golden-{index}.png"

    def _graph_key(self, name: str) -> dict[str, Any]:
        network = next(network for network in self._plan.anatomy.networks if network.name == name)
        return {
            "component": name,
            "weights": self._hashes[network.folder],
            "config": self._plan.checkpoint.config(network.folder),
            "opset": OPSET,
            "export": EXPORT_FORMAT,
            "versions": versions(),
        }

    def _reference_key(self, stage: str) -> dict[str, Any]:
        configs = self._plan.checkpoint.configs
        return {
            "stage": stage,
            "weights": self._hashes,
            "configs": configs,
            "goldens": plan_key(self._plan.goldens),
            "versions": versions(),
        }


def versions() -> dict[str, str]:
    """The packages that decide what export and reference give."""
    names = ("torch", "diffusers", "transformers", "onnxscript", "onnx-ir")
    return {name: importlib.metadata.version(name) for name in names}


def release_memory() -> None:
    """Give freed memory back to the system, so that the next component's peak starts from the ground."""
    gc.collect()
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
