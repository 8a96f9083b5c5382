"""Small checkpoints and the bundles compiled from them, made once per run."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from aquatint.compile.checkpoint import Checkpoint
from aquatint.profiles.profile import Profile, read_profile
from aquatint.runtime.manifest import NAME
from aquatint.tests.stand_ins.fixtures import gpu, memory, trt  # noqa: F401


class Workshop:
    """Compiles tiny checkpoints; graphs and references are shared through one cache, and by all processes of a run."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.cache = root / "cache"
        self._bundles: dict[tuple[str, str, str], Path] = {}

    def checkpoint(self, name: str) -> Path:
        """A Diffusers folder: the demo model's, or random weights from bench.checkpoints."""
        from aquatint.bench.checkpoints import write_checkpoint
        from aquatint.demo import MODEL

        if name == "demo":
            return MODEL
        folder = self.root / "checkpoints" / name
        with FileLock(f"{self.root}/{name}.lock"):
            return folder if folder.is_dir() else write_checkpoint(name, folder, "float32")

    def bundle(self, name: str, target: str, profile: str | Profile = "exact") -> Path:
        """The bundle of a tiny checkpoint for a target, compiled and verified."""
        recipe = read_profile(profile) if isinstance(profile, str) else profile
        key = (name, target, recipe.name)
        if key not in self._bundles:
            output = self.root / "bundles" / "-".join(key).replace(":", "-")
            model = self.checkpoint(name)
            with FileLock(f"{self.root}/{name}-bundles.lock"):
                made = (output / NAME).is_file()
                self._bundles[key] = output if made else self.compile(model, target, recipe, output)
        return self._bundles[key]

    def compile(self, model: Path | str, target: str, profile: Profile, output: Path) -> Path:
        """Run a compile to its end."""
        from aquatint.compile.checkpoint import find_checkpoint

        found = find_checkpoint(str(model), revision=None, variant=None, config=None, work=self.cache)
        return self.compile_checkpoint(found, target, profile, output)

    def compile_checkpoint(self, found: Checkpoint, target: str, profile: Profile, output: Path) -> Path:
        """The same for a checkpoint that was found already."""
        from aquatint.compile.cache import Cache
        from aquatint.compile.driver import compile_bundle
        from aquatint.compile.plan import make_plan

        stages = compile_bundle(make_plan(found, target, profile, output=output), Cache(self.cache))
        while True:
            try:
                next(stages)
            except StopIteration as stop:
                made: Path = stop.value
                return made


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "workshop"
    root.mkdir(exist_ok=True)
    return Workshop(root)


@pytest.fixture
def exact() -> Profile:
    return read_profile("exact")


@pytest.fixture
def impossible(exact: Profile) -> Profile:
    """A profile whose quality nothing reaches."""
    return replace(
        exact, name="impossible", precision={"default": "fp16"}, budget=replace(exact.budget, relative_error=1e-9)
    )
