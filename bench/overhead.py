"""What our session and our loop add to the engine's own time.

python -m aquatint.bench.overhead BUNDLE
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from ..runtime.bundle import Bundle, open_bundle, pipeline_of
from ..runtime.manifest import Component
from ..runtime.precision import Precision
from ..runtime.shapes import TOKENS
from .timing.clock import Clock


def compare_step(bundle: Bundle, repeats: int) -> dict[str, float]:
    """One call of the UNet through our session and through openvino by hand, in turns: A B B A.

    Both have the same artifact, shapes, threads and precision.  Returns medians in ms, and the median and spread of
    the ratio of neighbours, ours over theirs.
    """
    part, feeds = _unet_feeds(bundle)
    ours = bundle.session("unet")
    ours.prepare({name: array.shape for name, array in feeds.items()})
    theirs = _by_hand(bundle.folder / part.artifact, part, feeds)
    for call in (lambda: ours.run(feeds), theirs):
        call()
    pairs = []
    for turn in range(repeats):
        order = (True, False) if turn % 2 == 0 else (False, True)
        taken = {mine: _seconds((lambda: ours.run(feeds)) if mine else theirs) for mine in order}
        pairs.append((taken[True], taken[False]))
    ratios = sorted(mine / other for mine, other in pairs)
    return {
        "ours_ms": 1e3 * statistics.median(mine for mine, _ in pairs),
        "openvino_ms": 1e3 * statistics.median(other for _, other in pairs),
        "ratio": statistics.median(ratios),
        "ratio_min": ratios[0],
        "ratio_max": ratios[-1],
    }


def loop_share(bundle: Bundle, steps: int) -> dict[str, float]:
    """The part of a denoising loop that is not spent in the UNet's session: milliseconds a step, and share."""
    pipe = pipeline_of(bundle)
    clock = Clock(bundle.session("unet"), "unet")
    bundle.replace_session("unet", clock)
    printing = pipe.generate("a bowl of fruit", num_inference_steps=steps, seed=0)
    next(printing)  # the first step also encodes the prompt and compiles
    clock.seconds = 0.0
    start = time.perf_counter()
    for _ in range(steps - 1):
        next(printing)
    total = time.perf_counter() - start
    printing.close()
    own = total - clock.seconds
    return {"loop_ms": 1e3 * own / (steps - 1), "share": own / total}


def _unet_feeds(bundle: Bundle) -> tuple[Component, dict[str, np.ndarray]]:
    part = bundle.manifest.component("unet")
    assert part is not None
    height, width = bundle.manifest.shapes.default_size
    sizes = part.input_sizes({"batch": part.rows[0], "height": height, "width": width, "tokens": TOKENS})
    rng = np.random.default_rng(0)
    return part, {name: rng.standard_normal(shape).astype(np.float32) for name, shape in sizes.items()}


def _by_hand(artifact: Path, part: Component, feeds: dict[str, np.ndarray]) -> Callable[[], Any]:
    import openvino

    core = openvino.Core()
    model = core.read_model(artifact)
    model.reshape({name: list(array.shape) for name, array in feeds.items()})
    hint = {"fp16": "f16", "bf16": "bf16", "fp32": "f32"}[Precision.parse(part.precision).math]
    compiled = core.compile_model(model, "CPU", {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": hint})
    request = compiled.create_infer_request()
    return lambda: request.infer(feeds)


def _seconds(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--repeats", default=7, show_default=True, help="Pairs of calls.")
@click.option("--steps", default=6, show_default=True, help="Of the loop that is measured.")
def main(folder: Path, repeats: int, steps: int) -> None:
    """Measure BUNDLE (for openvino:cpu) against its own engine; prints JSON."""
    bundle = open_bundle(folder)
    found = {"step": compare_step(bundle, repeats)}
    bundle.close()
    found["loop"] = loop_share(bundle, steps)
    bundle.close()
    click.echo(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
