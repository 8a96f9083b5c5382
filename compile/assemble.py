"""A bundle in the making: filled beside its place, and renamed into it when it is whole."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol

from ..runtime.bundle import sha256_of
from ..runtime.manifest import FORMAT, Component, File, Golden, Manifest, Model, Verification, write_manifest
from ..runtime.session import backend
from .cache import KEY
from .plan import Plan
from .tokenizers import write_tokenizer

BUILT_WITH = ("aquatint", "torch", "diffusers", "transformers", "onnxscript", "onnx-ir")


class Pictures(Protocol):
    """Where golden pictures come from."""

    sha256: dict[str, str]

    def golden(self, index: int) -> Path: ...


class Staging:
    """A folder beside the output; it goes away unless it is published."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parts: list[Component] = []
        output = plan.output.absolute()
        self.folder = output.with_name(f".{output.name}.part-{os.getpid()}")

    def __enter__(self) -> Staging:
        for ruin in self.folder.parent.glob(f".{self._plan.output.name}.part-*"):
            if not Path(f"/proc/{ruin.name.rpartition('-')[2]}").exists():
                shutil.rmtree(ruin, ignore_errors=True)
        self.folder.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def add_artifact(self, component: Component, place: Path) -> None:
        """Copy a cached artifact into the component's folder."""
        folder = self.folder / component.name
        shutil.copytree(place, folder, ignore=shutil.ignore_patterns(KEY))
        main = next(file for file in sorted(folder.iterdir()) if file.suffix in (".xml", ".onnx"))
        self._parts.append(replace(component, artifact=f"{component.name}/{main.name}"))

    def finish(self, source: Pictures) -> Manifest:
        """Add tokenizers and golden pictures, and write the manifest, its qualities still to be measured."""
        plan = self._plan
        for name in plan.anatomy.tokenizers:
            write_tokenizer(plan.checkpoint.folder / name, self.folder / name)
        goldens = []
        (self.folder / "golden").mkdir()
        for index, golden in enumerate(plan.goldens):
            image = f"golden/{index}.png"
            shutil.copyfile(source.golden(index), self.folder / image)
            goldens.append(
                Golden(
                    golden.prompt, golden.seed, golden.steps, golden.guidance_scale, golden.height, golden.width, image, 0.0
                )
            )
        checkpoint = plan.checkpoint
        engine = backend(plan.target).versions()
        reference = "onnx" if checkpoint.is_onnx else "diffusers"
        built_with = {name: importlib.metadata.version(name) for name in BUILT_WITH}
        manifest = Manifest(
            format=FORMAT,
            model=Model(
                checkpoint.name, plan.anatomy.pipeline, checkpoint.source, checkpoint.revision,
                license_of(checkpoint.folder), source.sha256,
            ),
            target=str(plan.target),
            profile=plan.profile.name,
            pipeline=plan.anatomy.pipeline,
            shapes=plan.shapes,
            settings=plan.anatomy.settings,
            scheduler=checkpoint.config("scheduler"),
            defaults=plan.defaults,
            components=tuple(self._parts),
            verification=Verification(
                str(plan.verify_on), reference, plan.profile.budget.psnr_db, tuple(goldens)
            ),
            built_with={**built_with, **engine},
            requires=engine,
            files=self._files(),
        )  # fmt: skip
        write_manifest(manifest, self.folder)
        return manifest

    def publish(self) -> Path:
        """Rename the folder into its place; a bundle that was there goes away."""
        output = self._plan.output.absolute()
        old = output.with_name(f".{output.name}.old-{os.getpid()}")
        if output.exists():
            output.rename(old)
        self.folder.rename(output)
        shutil.rmtree(old, ignore_errors=True)
        return self._plan.output

    def _files(self) -> dict[str, File]:
        files = sorted(file for file in self.folder.rglob("*") if file.is_file())
        return {
            file.relative_to(self.folder).as_posix(): File(sha256_of(file), file.stat().st_size) for file in files
        }


def license_of(folder: Path) -> str | None:
    """The licence that the model card names, in the front matter of README.md."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    found = re.match(r"---\n(?:.*\n)*?license:\s*(\S+)", card.read_text(encoding="utf-8", errors="replace"))
    return found[1] if found else None
