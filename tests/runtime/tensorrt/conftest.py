"""Plans of a tiny bundle's networks, built and run by a TensorRT that is not there."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from aquatint.runtime.cuda.device import first_gpu
from aquatint.runtime.device.session import DeviceSession
from aquatint.runtime.manifest import Component, Manifest, read_manifest
from aquatint.runtime.session import EngineOptions
from aquatint.runtime.shapes import Shapes
from aquatint.runtime.tensorrt.bound import bound_to
from aquatint.runtime.tensorrt.build import build_plan
from aquatint.runtime.tensorrt.network import TensorRTNetwork, engine_memory
from aquatint.runtime.tensorrt.options import BuildOptions
from aquatint.runtime.tensorrt.package import package
from aquatint.runtime.tensorrt.plan import open_plan


def finish(steps):
    """What a generator gives at its end."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


@dataclass
class Plans:
    """The bundle's networks as plans in a folder.  reference: ONNX Runtime, by component."""

    bundle: Path
    folder: Path
    manifest: Manifest
    trt: Any
    reference: dict[str, Any]

    def graph(self, name: str) -> Path:
        return self.bundle / self.part(name).artifact

    def part(self, name: str) -> Component:
        found = self.manifest.component(name)
        assert found is not None
        return found

    def build(self, name, options=None, portable=False, shapes=None, timings=None, part=None):
        """The plan's file, and the component as that is."""
        options, part = options or BuildOptions(), part or self.part(name)
        shapes = shapes or self.manifest.shapes
        content = finish(build_plan(package(), self.graph(name), part, shapes, options, portable, timings))
        file = self.folder / f"{name}.plan"
        file.write_bytes(content)
        memory = engine_memory(package(), content, self.graph(name))
        bound = bound_to(package(), first_gpu(), options, portable)
        return file, replace(part, artifact=file.name, bound=bound, memory=memory)

    def open(self, name, options=None, engine=None, **told) -> DeviceSession:
        """A session over a new plan."""
        plan, part = self.build(name, options, **told)
        return open_plan(plan, part, engine or EngineOptions(), self.graph(name))

    def network(self, name, memory, graphs=True, **told) -> tuple[TensorRTNetwork, DeviceSession]:
        """The same, with the network itself."""
        plan, part = self.build(name, **told)
        network = TensorRTNetwork(package(), plan, part, memory, graphs=graphs)
        return network, DeviceSession(network, part, memory)

    def feeds(self, name, seed=0, **words):
        """Random inputs.  words: batch, height, width, tokens."""
        rng = np.random.default_rng(seed)
        sizes = self.part(name).input_sizes({"batch": 1, "height": 64, "width": 64, "tokens": 77, **words})
        made = {}
        for spec in self.part(name).inputs:
            values = rng.standard_normal(sizes[spec.name])
            made[spec.name] = (np.abs(values) * 3).astype(np.int64) if spec.dtype == "int64" else values.astype("f4")
        if "clip_skip" in made:
            made["clip_skip"][:] = 0
        return made

    def expected(self, name, feeds):
        """ONNX Runtime's outputs."""
        if name not in self.reference:
            self.reference[name] = onnxruntime.InferenceSession(str(self.graph(name)))
        names = [spec.name for spec in self.part(name).outputs]
        return dict(zip(names, self.reference[name].run(names, feeds), strict=True))

    def agree(self, session, name, **told):
        """Raises AssertionError where a session's outputs are not ONNX Runtime's."""
        feeds = self.feeds(name, **told)
        found = session.run(feeds)
        for output, values in self.expected(name, feeds).items():
            # The stand-in computes with ONNX Runtime itself.
            np.testing.assert_allclose(found[output], values, atol=1e-5 * np.abs(values).max(), err_msg=output)


@pytest.fixture(scope="session")
def references():
    return {}


@pytest.fixture
def plans(workshop, trt, tmp_path, references):
    bundle = workshop.bundle("tiny-sd", "ort:cpu")
    return Plans(bundle, tmp_path, read_manifest(bundle), trt, references)


@pytest.fixture
def sizes():
    """Two picture sizes; the first is the default."""
    return Shapes(((64, 64), (64, 96)))
