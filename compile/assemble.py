"""A bundle in the making: filled beside its place, and renamed into it when it is whole."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from ..runtime.bundle import sha256_of
from ..runtime.manifest import Component, File, Golden, Manifest, write_manifest
from ..targets.card import CARD, with_card
from .cache import KEY, alive
from .draft import draft_manifest
from .plan import Plan
from .source import Source
from .start_picture import start_picture
from .tokenizers import write_tokenizer

MAIN = (".plan", ".xml", ".onnx")  # how artifacts end, before what they need beside them


class Staging:
    """A folder beside the output; it goes away unless it is published."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._parts: list[Component] = []
        self._output = plan.output.absolute()
        self.folder = self._beside("part")

    def __enter__(self) -> Staging:
        self._clear_up()
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
            if file.name not in (KEY, CARD):
                shutil.copyfile(file, folder / file.name)
        main = min((file for file in folder.iterdir() if file.suffix in MAIN), key=lambda file: MAIN.index(file.suffix))
        self._parts.append(with_card(replace(component, artifact=f"{component.name}/{main.name}"), place))

    def finish(self, source: Source) -> Manifest:
        """Add tokenizers and golden pictures, and write the manifest, its qualities still to be measured."""
        plan = self._plan
        taught = [token for embedding in plan.checkpoint.embeddings for token in embedding.tokens]
        for name in plan.anatomy.tokenizers:
            write_tokenizer(plan.checkpoint.folder / name, self.folder / name, taught)
        goldens = []
        (self.folder / "golden").mkdir()
        for index, golden in enumerate(plan.goldens):
            image = f"golden/{index}.png"
            shutil.copyfile(source.golden(index), self.folder / image)
            start = None if golden.strength is None else f"golden/{index}-start.png"
            if start is not None:
                start_picture(golden.height, golden.width).save(self.folder / start)
            said = {name: value for name, value in golden.__dict__.items() if name != "scheduler"}
            goldens.append(Golden(**said, image=image, psnr_db=0.0, start=start))
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
        old = self._beside("old")
        if self._output.exists():
            self._output.rename(old)
        self.folder.rename(self._output)
        shutil.rmtree(old, ignore_errors=True)
        return self._plan.output

    def _beside(self, kind: str) -> Path:
        return self._output.with_name(f".{self._output.name}.{kind}-{os.getpid()}")

    def _clear_up(self) -> None:
        """Remove what killed compiles left; a bundle that one had just moved aside goes back to its place."""
        form = re.compile(rf"\.{re.escape(self._output.name)}\.(part|old)-(\d+)")
        for ruin in list(self._output.parent.iterdir()):
            named = form.fullmatch(ruin.name)
            if named is None or alive(int(named[2])):
                continue
            if named[1] == "old" and not self._output.exists():
                ruin.rename(self._output)
            else:
                shutil.rmtree(ruin, ignore_errors=True)

    def _files(self) -> dict[str, File]:
        files = sorted(file for file in self.folder.rglob("*") if file.is_file())
        return {file.relative_to(self.folder).as_posix(): File(sha256_of(file), file.stat().st_size) for file in files}
