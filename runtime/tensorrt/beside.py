"""Engines that a device built from a bundle's ONNX: kept in a folder beside the bundle, which stays as it came."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Generator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from ..cuda.device import Gpu
from ..errors import NotBuilt, OutputFailed
from ..manifest import Component, Manifest
from ..pixels import write_whole
from ..record import from_table, to_table
from ..session import BuildStep, EngineOptions, Session
from .bound import AMPERE, bound_to
from .build import BUILD_FORMAT, build_plan
from .network import engine_memory
from .options import BuildOptions
from .package import release
from .plan import open_plan

FORMAT = 1
VERIFIED = "verified.json"  # behind the GPU and the release: machines may share the folder


@dataclass(frozen=True)
class Engine:
    """What lies beside each plan.  key: of all that it was made of."""

    format: int
    key: dict[str, Any]
    size_bytes: int
    component: Component


class Engines:
    """Those of one bundle, for one GPU and one release of TensorRT: a Builder (runtime/session.py).

    folder: `BUNDLE.engines`, beside the bundle.
    """

    def __init__(self, bundle: Path, manifest: Manifest, trt: ModuleType, gpu: Gpu) -> None:
        self._bundle, self._manifest, self._trt, self._gpu = bundle.absolute(), manifest, trt, gpu
        assert manifest.build is not None
        self._options: BuildOptions = manifest.build
        self._portable = manifest.target.endswith(f":{AMPERE}")
        self.folder = self._bundle.with_name(f"{self._bundle.name}.engines")

    def find(self, part: Component) -> tuple[Path, Component]:
        """The component's plan, and the component as it describes that.  Raises NotBuilt."""
        plan = self._place(part)
        try:
            table = json.loads(plan.with_suffix(".json").read_text(encoding="utf-8"))
            card = from_table(Engine, table, plan.name, NotBuilt)
            whole = card.format == FORMAT and card.size_bytes == plan.stat().st_size
        except (OSError, ValueError) as reason:
            raise NotBuilt(f"{part.name} has no engine for this GPU yet") from reason
        if not whole or card.key != self._key(part):
            raise NotBuilt(f"{part.name}: {plan.name} is not whole, or not of this bundle")
        return plan, replace(card.component, quality=part.quality)

    def built(self) -> list[Component]:
        """The components whose plans are there, as these describe them."""
        found = []
        for part in self._manifest.components:
            with contextlib.suppress(NotBuilt):
                found.append(self.find(part)[1])
        return found

    def missing(self) -> list[Component]:
        there = {part.name for part in self.built()}
        return [part for part in self._manifest.components if part.name not in there]

    def open(self, part: Component, options: EngineOptions) -> Session:
        plan, built = self.find(part)
        return open_plan(plan, built, options, self._weights(part))

    def build(self, part: Component) -> Generator[BuildStep, None, None]:
        plan = self._place(part)
        try:
            plan.parent.mkdir(parents=True, exist_ok=True)
        except OSError as reason:
            raise OutputFailed(f"can't make {plan.parent}, where engines are kept: {reason.strerror}") from reason
        content = yield from build_plan(
            self._trt, self._weights(part), part, self._manifest.shapes, self._options, self._portable,
            self.folder / f"{self._kind()}.timings",
        )  # fmt: skip
        write_whole(plan, lambda file: file.write_bytes(content))
        bound = bound_to(self._trt, self._gpu, self._options, self._portable)
        memory = engine_memory(self._trt, content, self._weights(part))
        card = Engine(
            FORMAT, self._key(part), len(content), replace(part, artifact=plan.name, bound=bound, memory=memory)
        )
        text = json.dumps(to_table(card), indent=2) + "\n"
        write_whole(plan.with_suffix(".json"), lambda file: file.write_text(text, encoding="utf-8"))

    @property
    def verified(self) -> bool:
        return self._said() == self._all()

    def mark_verified(self) -> None:
        text = json.dumps(self._all(), indent=2) + "\n"
        write_whole(self._mark, lambda file: file.write_text(text, encoding="utf-8"))

    def discard(self) -> None:
        for part in self._manifest.components:
            for suffix in (".plan", ".json"):
                self._place(part).with_suffix(suffix).unlink(missing_ok=True)

    @property
    def _mark(self) -> Path:
        return self.folder / f"{self._kind()}.{VERIFIED}"

    def _weights(self, part: Component) -> Path:
        """The bundle's ONNX."""
        return self._bundle / part.artifact

    def _said(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._mark.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found

    def _all(self) -> dict[str, Any]:
        return {part.name: self._place(part).stem for part in self._manifest.components}

    def _place(self, part: Component) -> Path:
        text = json.dumps(self._key(part), sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        return self.folder / f"{part.name}-{self._kind()}-{digest}.plan"

    def _kind(self) -> str:
        return f"{self._gpu.architecture}-{release(self._trt)}"

    def _key(self, part: Component) -> dict[str, Any]:
        folder = f"{part.name}/"
        files = {name: file.sha256 for name, file in self._manifest.files.items() if name.startswith(folder)}
        return {
            "build": BUILD_FORMAT,
            "files": files,
            "gpu": [self._gpu.architecture, self._gpu.name],
            "portable": self._portable,
            "tensorrt": release(self._trt),
            "options": asdict(self._options),
            "shapes": to_table(self._manifest.shapes),
            "rows": list(part.rows),
        }
