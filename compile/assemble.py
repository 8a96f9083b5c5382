"""A bundle in the making: filled beside its place, and renamed into it when it is whole."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from ..runtime.bundle import sha256_of
from ..runtime.manifest import Component, File, Golden, Manifest, write_manifest
from .cache import KEY
from .draft import draft_manifest
from .plan import Plan
from .source import Source
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
