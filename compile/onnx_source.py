"""A folder of graphs: themselves the reference, run in float32 by ONNX Runtime through our own pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..runtime.bundle import pipeline_of
from ..runtime.manifest import Component
from ..runtime.pixels import to_sample
from ..runtime.session import Session
from ..runtime.target import Target
from .cache import Cache
from .cases import Case, write_case
from .export import GRAPH
from .family import Network
from .graph_bundle import GraphBundle
from .onnx_folder import take_graph
from .plan import Plan
from .reference import plan_key
from .source import versions
from .start_picture import start_picture

ENGINE = Target("ort", "cpu")
FORMAT = 2  # raise it when take_graph, or what is recorded, changes


class OnnxSource:
    """Graphs as they came, with our inputs and outputs."""

    stages: tuple[str, ...] = ("graphs", "pictures")

    def __init__(self, plan: Plan, cache: Cache) -> None:
        self._plan = plan
        self._cache = cache
        self._hashes = {network.name: plan.checkpoint.sha256(network.name) for network in plan.anatomy.networks}
        self._graphs: dict[str, Path] = {}
        self._recording = Path()

    @property
    def sha256(self) -> dict[str, str]:
        return {name: digest for hashes in self._hashes.values() for name, digest in hashes.items()}

    def run(self, stage: str) -> None:
        plan = self._plan
        if stage == "graphs":
            for network in plan.anatomy.networks:
                self._graphs[network.name] = self._take(network)
            return
        key = {"graphs": self._hashes, "goldens": plan_key(plan.goldens), "format": FORMAT, "versions": versions()}
        self._recording = self._cache.entry("reference", f"{plan.checkpoint.name} pictures", key, self._record)

    def graph(self, component: str) -> Path:
        return self._graphs[component]

    def graph_key(self, component: str) -> dict[str, Any]:
        return {"component": component, "graph": self._hashes[component], "format": FORMAT, "versions": versions()}

    def cases(self, component: str) -> Path:
        return self._recording

    def golden(self, index: int) -> Path:
        return self._recording / f"golden-{index}.png"

    def _take(self, network: Network) -> Path:
        folder = self._plan.checkpoint.folder
        label = f"{self._plan.checkpoint.name} {network.name}"

        def make(into: Path) -> None:
            take_graph(network, folder, into)

        return self._cache.entry("graph", label, self.graph_key(network.name), make) / GRAPH

    def _record(self, into: Path) -> None:
        plan = self._plan
        last: dict[str, Case] = {}
        bundle = GraphBundle(plan, self._graphs, ENGINE, into, lambda session, part: _Last(session, part, last))
        try:
            pipe = pipeline_of(bundle)
            for index, golden in enumerate(plan.goldens):
                size: dict[str, Any] = {"height": golden.height, "width": golden.width}
                if golden.strength is not None:
                    size = {"image": start_picture(golden.height, golden.width), "strength": golden.strength}
                pictures = pipe(
                    golden.prompt, seed=golden.seed, num_inference_steps=golden.steps, **size,
                    guidance_scale=golden.guidance_scale, scheduler=golden.scheduler,
                ).images  # fmt: skip
                assert isinstance(pictures[0], Image.Image)
                pictures[0].save(into / f"golden-{index}.png")
                bundle.session("vae_encoder").run({"sample": to_sample(pictures[0])[None]})
                for name, case in last.items():
                    write_case(into, name, case)
                last.clear()
        finally:
            bundle.close()


class _Last:
    """A session that remembers its last call."""

    def __init__(self, inner: Session, component: Component, last: dict[str, Case]) -> None:
        self._inner = inner
        self._name = component.name
        self._last = last

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._inner.prepare(shapes)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = self._inner.run(feeds)
        self._last[self._name] = Case(dict(feeds), outputs)
        return outputs

    def close(self) -> None:
        self._inner.close()
