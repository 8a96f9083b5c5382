"""One quantizer in a process of its own: from the float graph to OpenVINO IR, with its time and memory.

python -m aquatint.bench.quantizers_job FOLDER, which holds job.json; the results are written beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.record import from_table, to_table
from ..runtime.shapes import Shapes
from ..runtime.target import Target
from ..targets.order import Order
from .process_memory import memory_bytes
from .quantizers_list import OURS, Quantizer
from .quantizers_material import Material

JOB, MADE = "job.json", "made.json"
ORDER = Order(Target("openvino", "cpu"), Shapes(((512, 512),)))  # OpenVINO's files are the same for all sizes


@dataclass(frozen=True)
class Job:
    """quantizer: None leaves the graph in floats."""

    material: Material
    quantizer: Quantizer | None


@dataclass(frozen=True)
class Made:
    """What became of a job.

    seconds: from the graph on disk to the IR on disk.  memory_bytes: the most that the process grew by meanwhile, over
    its packages; None where the system does not tell.
    """

    artifact: str
    seconds: float
    memory_bytes: int | None


class JobFailed(Exception):
    """The quantizer could not do it, or its process was killed; the message is one line."""


def start_job(job: Job, folder: Path) -> Made:
    """Do the job in a new process.  folder: empty, for what comes of it.  Raises JobFailed."""
    (folder / JOB).write_text(json.dumps(to_table(job)), encoding="utf-8")
    command = [sys.executable, "-P", "-m", f"{__package__}.quantizers_job", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode or not (folder / MADE).is_file():
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        raise JobFailed(lines[-1] if lines else f"its process ended with code {done.returncode}")
    return from_table(Made, json.loads((folder / MADE).read_text(encoding="utf-8")), MADE, ValueError)


def do_job(job: Job, folder: Path) -> Made:
    """Here and now."""
    quantizer = job.quantizer
    if quantizer is None:
        work = _float(job.material, folder)
    elif quantizer.maker == OURS:
        work = _ours(job.material, quantizer, folder)
    else:
        work = _nncf(job.material, quantizer, folder)
    before = memory_bytes("VmRSS")
    start = time.perf_counter()
    artifact = work()
    seconds = time.perf_counter() - start
    peak = memory_bytes("VmHWM")
    return Made(str(artifact), seconds, None if peak is None or before is None else peak - before)


def _float(material: Material, folder: Path) -> Callable[[], Path]:
    from ..targets import openvino

    return lambda: openvino.build(Path(material.graph), material.component, folder, ORDER)


def _ours(material: Material, quantizer: Quantizer, folder: Path) -> Callable[[], Path]:
    """As the compile does it, but for the cache: by way of a quantized graph in ONNX."""
    import onnx_ir as ir

    from ..quantize.activations import Activations
    from ..quantize.apply import quantize_model
    from ..quantize.assign import Rule, assign
    from ..quantize.layers import find_layers
    from ..targets import openvino

    def work() -> Path:
        model = ir.load(material.graph)
        assignments = assign(find_layers(model), (), Rule(quantizer.kind, settings=quantizer.settings))
        quantize_model(model, assignments, Activations(Path(material.rows)))
        ir.save(model, folder / "model.onnx", external_data="model.onnx.data")
        return openvino.build(folder / "model.onnx", material.component, folder, ORDER)

    return work


def _nncf(material: Material, quantizer: Quantizer, folder: Path) -> Callable[[], Path]:
    import openvino

    from ..compile.cases import read_cases
    from .quantizers_nncf import compress

    def work() -> Path:
        calls = [case.feeds for case in read_cases(Path(material.calls), material.component.name)]
        model = openvino.Core().read_model(material.graph)
        model.reshape({name: list(array.shape) for name, array in calls[0].items()})
        settings: dict[str, Any] = dict(quantizer.settings)
        if settings.pop("our_layers", False):
            settings["ignored"] = _left_by_us(material, model)
        made = compress(model, settings, calls)
        openvino.save_model(made, folder / "model.xml", compress_to_fp16=False)
        return folder / "model.xml"

    return work


def _left_by_us(material: Material, model: Any) -> list[str]:
    """What our int8 leaves in floats, as the OpenVINO model calls it."""
    import onnx_ir as ir

    from ..quantize.assign import Rule, assign
    from ..quantize.layers import find_layers
    from .quantizers_nncf import named

    graph = ir.load(material.graph)
    left = [found.layer for found in assign(find_layers(graph), (), Rule("int8")) if found.scheme != "int8"]
    weights = [graph.graph.initializers[layer.weight].const_value for layer in left]
    return named(model, [weight.numpy() for weight in weights if weight is not None])


def main(folder: Path) -> None:
    """Do what `folder`/job.json says."""
    job = from_table(Job, json.loads((folder / JOB).read_text(encoding="utf-8")), JOB, ValueError)
    (folder / MADE).write_text(json.dumps(to_table(do_job(job, folder))), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
