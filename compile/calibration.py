"""What a model computes with in real denoising: recorded to disk by the runtime's own pipeline over float graphs."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..profiles.profile import Calibration
from ..quantize.activations import WATCHED, write_call
from ..quantize.observe import PLACES
from ..runtime.bundle import pipeline_of
from ..runtime.errors import BadProfile, BadRequest, MissingPackage
from ..runtime.manifest import Component
from ..runtime.pixels import to_sample
from ..runtime.session import Session, backend, check_finite, devices
from ..runtime.target import Target
from .cache import Cache
from .calibration_calls import Call, built_in_calls, read_calls
from .cases import Case, write_case
from .graph_bundle import GraphBundle
from .memory import release_memory
from .plan import Plan
from .recording import CASES, ROWS, Recording
from .source import Source

log = logging.getLogger(__name__)

# In floats all engines agree; OpenVINO is the fastest on a processor.
ENGINES = (Target("openvino", "cpu"), Target("ort", "cpu"))
FORMAT = 1  # raise it when what is recorded changes
OBSERVED = "observed.onnx"  # a few kilobytes in the cached graph's folder


def find_engine() -> Target:
    """What float graphs are run with.  Raises MissingPackage where there is none."""
    for engine in ENGINES:
        try:
            if engine.device in devices(engine):
                return engine
        except MissingPackage:
            continue
    raise MissingPackage('calibration needs an engine; pip install "aquatint[openvino]" or "aquatint[ort]"')


def calls_of(plan: Plan) -> list[Call]:
    """The calls of the profile's calibration, with a seed and a number of steps each.

    One step more for each picture, so that their timesteps lie between those of the others.
    Raises BadProfile for a file without a usable prompt, and for a call that the model can't answer.
    """
    wish = plan.profile.calibration
    height, width = plan.shapes.default_size
    if wish.prompts is None:
        calls = built_in_calls(plan.checkpoint, plan.anatomy, wish.images, height, width)
    else:
        calls = read_calls(Path(wish.prompts))
    usual = {"guidance_scale": plan.defaults.guidance_scale}
    return [
        {"seed": wish.seed + index, "num_inference_steps": wish.steps + index % wish.steps, **usual, **call}
        for index, call in enumerate(calls)
    ]


def check_calls(plan: Plan) -> None:
    """Raises BadProfile for a file without prompts, and for a call that the model can't answer; runs nothing."""
    calls = calls_of(plan)
    with tempfile.TemporaryDirectory() as folder:
        pipe = pipeline_of(GraphBundle(plan, {}, find_engine(), Path(folder), lambda session, part: session))
        for call in calls:
            try:
                pipe.generate(**call)
            except BadRequest as reason:
                raise BadProfile(f"can't calibrate with {call['prompt']!r}: {reason}") from reason


def record(plan: Plan, source: Source, cache: Cache) -> Recording:
    """The recording of the plan's calls, from the cache where it was made before."""
    observed = [name for name, found in plan.assignments.items() if found]
    engine = find_engine()
    calls = calls_of(plan)
    key = {
        "graphs": {part.name: source.graph_key(part.name) for part in plan.components},
        "settings": asdict(plan.profile.calibration),
        "calls": [_plain(call) for call in calls],
        "pipeline": [plan.anatomy.settings, plan.checkpoint.config("scheduler"), plan.defaults.scheduler],
        "shapes": asdict(plan.shapes),
        "observed": sorted(observed),
        "engine": backend(engine).versions(),
        "format": FORMAT,
    }

    def make(into: Path) -> None:
        start = time.perf_counter()
        _record(plan, source, observed, engine, calls, into)
        release_memory()
        size_mb = sum(file.stat().st_size for file in into.rglob("*") if file.is_file()) / 1e6
        seconds = time.perf_counter() - start
        log.info("calibration: %d pictures recorded on %s, %.1f MB, %.1f s", len(calls), engine, size_mb, seconds)

    return Recording(cache.entry("calibration", plan.checkpoint.name, key, make), key)


def _record(
    plan: Plan, source: Source, observed: Sequence[str], engine: Target, calls: Sequence[Call], into: Path
) -> None:
    work = into / "work"
    work.mkdir()
    graphs = {part.name: source.graph(part.name) for part in plan.components}
    values: dict[str, dict[str, str]] = {}
    for name in observed:
        (into / ROWS / name).mkdir(parents=True)
        graphs[name], values[name] = _observed_graph(graphs[name])
        (into / ROWS / name / WATCHED).write_text(json.dumps(values[name], indent=1), encoding="utf-8")
    wish = plan.profile.calibration
    bundle = GraphBundle(
        plan,
        graphs,
        engine,
        work,
        lambda session, part: _Recorder(session, part, into, wish),
        {name: _told(watched) for name, watched in values.items()},
    )
    try:
        pipe = pipeline_of(bundle)
        for call in calls:
            picture = pipe(**call).images[0]
            assert isinstance(picture, Image.Image)
            if "image" not in call:
                bundle.session("vae_encoder").run({"sample": to_sample(picture)[None]})
    finally:
        bundle.close()
    shutil.rmtree(work)


def _observed_graph(graph: Path) -> tuple[Path, dict[str, str]]:
    """A graph with the outputs that quantize.observe adds, beside its own, whose weights it reads."""
    import onnx_ir as ir

    from ..quantize.layers import find_layers
    from ..quantize.observe import observe

    model = ir.load(graph)
    values = observe(model, find_layers(model))
    # Every compile writes the same; under another name first, for one may be reading it.
    part = graph.with_name(f"{OBSERVED}.{os.getpid()}")
    ir.save(model, part)
    return part.replace(graph.with_name(OBSERVED)), values


def _told(values: Mapping[str, str]) -> tuple[str, ...]:
    """The outputs that an observed graph has besides its own."""
    from ..quantize.observe import HIGH, LOW, ROWS

    return tuple(f"{word}{value}" for value in dict.fromkeys(values.values()) for word in (ROWS, LOW, HIGH))


class _Recorder:
    """A session that writes down each of its calls, and gives the component's own outputs."""

    def __init__(self, inner: Session, component: Component, into: Path, wish: Calibration) -> None:
        self._inner = inner
        self._component = component
        self._into = into
        self._wish = wish
        self._rows = into / ROWS / component.name
        self._calls = 0

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """An observed graph has an input more; it is compiled at its first call."""

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        observed = self._rows.is_dir()
        index = len(list(self._rows.glob("*.npz"))) if observed else 0
        places = {PLACES: self._places(index)} if observed else {}
        told = self._inner.run({**feeds, **places})
        own = {spec.name: told.pop(spec.name) for spec in self._component.outputs}
        for name, array in own.items():
            check_finite(array, f"{self._component.name}, output {name} of the float graph")
        write_case(self._into / CASES, self._component.name, Case(dict(feeds), own))
        if observed:
            write_call(self._rows, index, told)
        return own

    def close(self) -> None:
        self._inner.close()

    def _places(self, index: int) -> np.ndarray:
        """(rows,) in [0, 1), others at each call."""
        rng = np.random.default_rng([self._wish.seed, index])
        return rng.random(self._wish.rows, np.float32)


def _plain(call: Call) -> dict[str, Any]:
    """A call as JSON has it, pictures as their pixels' hashes."""
    return {
        name: hashlib.sha256(value.tobytes()).hexdigest() if isinstance(value, Image.Image) else value
        for name, value in call.items()
    }
