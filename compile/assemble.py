"""A bundle in the making: filled beside its place, and renamed into it when it is whole."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from .. import __version__
from ..runtime.bundle import sha256_of
from ..runtime.manifest import FORMAT, Component, File, Golden, Manifest, Model, Verification, write_manifest
from ..runtime.session import backend
from ..runtime.target import Target
from .cache import KEY
from .plan import Plan
from .source import Source, versions
from .tokenizers import write_tokenizer


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
        folder.mkdir()
        for file in place.iterdir():
            if file.name != KEY:
                shutil.copyfile(file, folder / file.name)
        main = next(file for file in sorted(folder.iterdir()) if file.suffix in (".xml", ".onnx"))
        self._parts.append(replace(component, artifact=f"{component.name}/{main.name}"))

    def finish(self, source: Source) -> Manifest:
        """Add tokenizers and golden pictures, and write the manifest, its qualities still to be measured."""
        plan = self._plan
        for name in plan.anatomy.tokenizers:
            write_tokenizer(plan.checkpoint.folder / name, self.folder / name)
        goldens = []
        (self.folder / "golden").mkdir()
        for index, golden in enumerate(plan.goldens):
            image = f"golden/{index}.png"
            shutil.copyfile(source.golden(index), self.folder / image)
            said = {name: value for name, value in golden.__dict__.items() if name != "scheduler"}
            goldens.append(Golden(**said, image=image, psnr_db=0.0))
        draft = draft_manifest(plan, tuple(self._parts), plan.target)
        manifest = replace(
            draft,
            model=replace(draft.model, sha256=source.sha256),
            verification=replace(draft.verification, goldens=tuple(goldens)),
            files=self._files(),
        )
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
        return {file.relative_to(self.folder).as_posix(): File(sha256_of(file), file.stat().st_size) for file in files}


def draft_manifest(plan: Plan, components: tuple[Component, ...], target: Target) -> Manifest:
    """What is known before anything is built: all but the files, their hashes and what is measured."""
    checkpoint = plan.checkpoint
    engine = backend(target).versions()
    return Manifest(
        format=FORMAT,
        model=Model(
            name=checkpoint.name,
            family=plan.anatomy.pipeline,
            source=checkpoint.source,
            revision=checkpoint.revision,
            license=license_of(checkpoint.folder),
        ),
        target=str(target),
        profile=plan.profile.name,
        pipeline=plan.anatomy.pipeline,
        shapes=plan.shapes,
        settings=plan.anatomy.settings,
        scheduler=checkpoint.config("scheduler"),
        defaults=plan.defaults,
        components=components,
        verification=Verification(
            target=str(plan.verify_on),
            reference="onnx" if checkpoint.is_onnx else "diffusers",
            min_psnr_db=plan.profile.budget.psnr_db,
            goldens=(),
        ),
        built_with={**{"aquatint": __version__}, **versions(), **engine},
        requires=engine,
        files={},
    )


def license_of(folder: Path) -> str | None:
    """The licence that the model card names, in the front matter of README.md."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    front = re.match(r"---\n(.*?\n)---", card.read_text(encoding="utf-8", errors="replace"), re.DOTALL)
    # A value, or the first of a list.
    found = front and re.search(r"""^license:(?:[ ]+|\s*- +)["']?([^\s"'#]+)""", front[1], re.MULTILINE)
    return found[1] if found else None
