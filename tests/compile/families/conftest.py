"""Tiny checkpoints, their networks exported, built and opened one by one."""

from functools import cache

import pytest

from aquatint.compile.build import cached_artifact
from aquatint.compile.cache import Cache
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.family import find_family
from aquatint.compile.plan import make_plan
from aquatint.compile.quantized import QuantizedGraphs
from aquatint.compile.torch_source import TorchSource
from aquatint.profiles.profile import read_profile
from aquatint.runtime.session import EngineOptions, open_session
from aquatint.runtime.shapes import Shapes
from aquatint.runtime.target import Target
from aquatint.targets.order import Order

SIZES = Shapes(((64, 64),))


@pytest.fixture(scope="session")
def checkpoint(workshop):
    """Name -> the Checkpoint of a tiny architecture."""

    def find(name):
        folder = workshop.checkpoint(name)
        return find_checkpoint(str(folder), revision=None, variant=None, config=None, work=workshop.cache)

    return find


@pytest.fixture(scope="session")
def diffusers_pipe(workshop):
    """Name -> Diffusers' own pipeline, float32."""
    diffusers = pytest.importorskip("diffusers")

    @cache
    def opened(name):
        pipe = diffusers.DiffusionPipeline.from_pretrained(workshop.checkpoint(name))
        if name == "tiny-sd":
            # Diffusers 0.42's clip_skip looks for the norm where Transformers before 5 had it.
            vars(pipe.text_encoder)["text_model"] = pipe.text_encoder
        return pipe

    return opened


@pytest.fixture(scope="session")
def opened(workshop, checkpoint, tmp_path_factory):
    """(checkpoint, component, target, shapes) -> the component as a session; graphs come from the shared cache."""
    shelf = Cache(workshop.cache)

    @cache
    def source(name):
        output = tmp_path_factory.mktemp("plan") / "bundle"
        plan = make_plan(checkpoint(name), "ort:cpu", read_profile("exact"), output=output)
        return plan, TorchSource(plan, shelf)

    @cache
    def run(name, stage):
        if stage == "denoise":
            run(name, "text")
        source(name)[1].run(stage)

    def open_part(name, component, target, shapes=SIZES):
        plan, made = source(name)
        run(name, next(network.stage for network in plan.anatomy.networks if network.name == component))
        part = next(part for part in plan.components if part.name == component)
        graphs = QuantizedGraphs(made, plan.recipes, None, shelf)
        place = cached_artifact(graphs, part, Order(Target.parse(target), shapes), shelf)
        artifact = next(file for file in sorted(place.iterdir()) if file.suffix in (".xml", ".onnx"))
        return open_session(artifact, part, Target.parse(target), shapes, EngineOptions())

    return open_part


@pytest.fixture
def anatomy_of(checkpoint):
    """The anatomy of a tiny checkpoint.  changes: of its model_index."""

    def make(name, **changes):
        configs = checkpoint(name).configs
        index = {**configs["model_index"], **changes}
        return find_family(index["_class_name"]).anatomy({**configs, "model_index": index})

    return make
