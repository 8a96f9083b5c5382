"""A checkpoint read by Diffusers: each stage's networks are loaded once, recorded, exported and released."""

from __future__ import annotations

import logging
import time
from functools import cached_property
from pathlib import Path
from typing import Any

from .adapters import adapters_key
from .cache import Cache
from .export import GRAPH, OPSET, export_graph
from .family import Network
from .memory import release_memory
from .plan import Plan
from .reference import STAGES, Recorder, load_stage, plan_key
from .source import versions

log = logging.getLogger(__name__)

EXPORT_FORMAT = 3  # raise it when export, or what is recorded, changes


class TorchSource:
    """Graphs by torch.export, reference results by Diffusers' own pipeline."""

    stages: tuple[str, ...] = STAGES

    def __init__(self, plan: Plan, cache: Cache) -> None:
        self._plan = plan
        self._cache = cache
        folders = dict.fromkeys(network.folder for network in plan.anatomy.networks)
        self._hashes = {folder: plan.checkpoint.sha256(folder) for folder in folders}
        self._recordings: dict[str, Path] = {}
        self._graphs: dict[str, Path] = {}

    @property
    def sha256(self) -> dict[str, str]:
        return {name: digest for hashes in self._hashes.values() for name, digest in hashes.items()}

    def run(self, stage: str) -> None:
        loading = _Stage(self._plan, stage)
        self._recordings[stage] = self._record(stage, loading)
        for network in self._networks(stage):
            self._graphs[network.name] = self._export(network, loading)
        del loading
        release_memory()

    def graph(self, component: str) -> Path:
        return self._graphs[component]

    def graph_key(self, component: str) -> dict[str, Any]:
        folder = self._network(component).folder
        return {
            "component": component,
            "weights": self._hashes[folder],
            "config": self._plan.checkpoint.config(folder),
            "adapters": adapters_key(self._plan.checkpoint, folder),
            "opset": OPSET,
            "export": EXPORT_FORMAT,
            "versions": versions(),
        }

    def cases(self, component: str) -> Path:
        return self._recordings[self._network(component).stage]

    def golden(self, index: int) -> Path:
        return self._recordings["image"] / f"golden-{index}.png"

    def _record(self, stage: str, loading: _Stage) -> Path:
        plan = self._plan
        before = self._recordings.get(STAGES[max(STAGES.index(stage) - 1, 0)], Path())
        key = {
            "stage": stage,
            "weights": self._hashes,
            "configs": plan.checkpoint.configs,
            "adapters": adapters_key(plan.checkpoint),
            "goldens": plan_key(plan.goldens),
            "export": EXPORT_FORMAT,
            "versions": versions(),
        }
        return self._cache.entry(
            "reference", f"{plan.checkpoint.name} {stage}", key,
            lambda into: Recorder(loading.pipe, plan.anatomy, before, into).record(stage, plan.goldens),
        )  # fmt: skip

    def _export(self, network: Network, loading: _Stage) -> Path:
        plan = self._plan
        step = int(plan.anatomy.settings["multiple"])

        def make(into: Path) -> None:
            start = time.perf_counter()
            export_graph(network, getattr(loading.pipe, network.folder), plan.anatomy.native, step, into)
            size_mb = sum(file.stat().st_size for file in into.iterdir()) / 1e6
            log.info("%s: exported, %.1f MB, %.1f s", network.name, size_mb, time.perf_counter() - start)

        label = f"{plan.checkpoint.name} {network.name}"
        return self._cache.entry("graph", label, self.graph_key(network.name), make) / GRAPH

    def _networks(self, stage: str) -> list[Network]:
        return [network for network in self._plan.anatomy.networks if network.stage == stage]

    def _network(self, component: str) -> Network:
        return next(network for network in self._plan.anatomy.networks if network.name == component)


class _Stage:
    """One stage's networks, loaded when something first asks for them."""

    def __init__(self, plan: Plan, stage: str) -> None:
        self._plan = plan
        self._stage = stage

    @cached_property
    def pipe(self) -> Any:
        start = time.perf_counter()
        pipe = load_stage(self._plan.checkpoint, self._plan.anatomy, self._stage)
        log.info("%s: checkpoint loaded, %.1f s", self._stage, time.perf_counter() - start)
        return pipe
