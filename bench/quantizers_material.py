"""What quantizers are compared on: a float graph, the calls they are calibrated with, and others to judge them by."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from ..profiles.profile import Calibration, read_profile
from ..runtime.manifest import Component

COMPONENT = "unet"
# None of them is among the built-in prompts that calibrate.
PROMPTS = (
    "a lighthouse on a cliff in a storm, long exposure",
    "a plate of pancakes with blueberries, top view",
    "a robot reading a newspaper in a cafe, ink sketch",
)
HELD_OUT = Calibration(seed=1000, steps=7)  # other noise, and timesteps between those that calibrate


@dataclass(frozen=True)
class Material:
    """graph: the float ONNX.  calls: folder of recorded calls, as compile.cases reads it; held_out: others.

    rows: what the layers were given in `calls`, as quantize.activations reads it.  record_s: making `calls` and `rows`;
    next to nothing where the cache had them.
    """

    component: Component
    graph: str
    calls: str
    rows: str
    held_out: str
    record_s: float


def find_material(model: str, folder: Path, calibration: Calibration | None = None) -> Material:
    """The UNet of a model that `aquatint compile` takes.  folder: a cache.  Raises BadModel and the like.

    calibration: in place of the usual one.
    """
    from ..compile.cache import Cache
    from ..compile.calibration import record
    from ..compile.checkpoint import find_checkpoint
    from ..compile.plan import make_plan
    from ..compile.torch_source import TorchSource

    cache = Cache(folder)
    checkpoint = find_checkpoint(model, revision=None, variant=None, config=None, work=folder)
    # int8 asks for the rows of all its layers, which serve every other scheme too.
    profile = replace(read_profile("exact"), quantize={COMPONENT: "int8"}, calibration=calibration or Calibration())
    others = replace(HELD_OUT, prompts=str(_write_prompts(model, folder)))
    plan, judged = (
        make_plan(checkpoint, "openvino:cpu", wanted, output=folder / "unused")
        for wanted in (profile, replace(profile, calibration=others))
    )
    source = TorchSource(plan, cache)
    for stage in source.stages:
        source.run(stage)
    start = time.perf_counter()
    made = record(plan, source, cache)
    record_s = time.perf_counter() - start
    component = next(part for part in plan.components if part.name == COMPONENT)
    return Material(
        component, str(source.graph(COMPONENT)), str(made.cases), str(made.rows(COMPONENT)),
        str(record(judged, source, cache).cases), record_s,
    )  # fmt: skip


def _write_prompts(model: str, folder: Path) -> Path:
    """The demo knows few words, and has prompts of its own that its training never saw."""
    prompts: tuple[str, ...] = PROMPTS
    if model == "demo":
        from ..demo.prompts import held_out

        prompts = tuple(prompt for prompt, _ in held_out(len(PROMPTS)))
    file = folder / "held-out-prompts.txt"
    folder.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{prompt}\n" for prompt in prompts), encoding="utf-8")
    return file
