"""A model's float32 graphs as a bundle, run by an engine of this machine, so that the runtime's own pipeline drives
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..quantize.scheme import NONE
from ..runtime.bundle import Bundle
from ..runtime.manifest import Component, TensorSpec
from ..runtime.session import EngineOptions, Session, open_session
from ..runtime.target import Target
from ..runtime.text import Tokenizer
from .draft import draft_manifest
from .plan import Plan
from .tokenizers import write_tokenizer

Watch = Callable[[Session, Component], Session]


class GraphBundle(Bundle):
    """Graphs in place of artifacts, one in memory at a time.

    folder: where its tokenizers are written.  graphs: component -> graph.
    watch: what is put around each session as it is opened, such as one that records.
    told: component -> what its graph gives besides the component's own outputs, to the watch alone.
    """

    def __init__(
        self,
        plan: Plan,
        graphs: Mapping[str, Path],
        engine: Target,
        folder: Path,
        watch: Watch,
        told: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        parts = tuple(replace(part, precision="fp32", scheme=NONE) for part in plan.components)
        super().__init__(folder, draft_manifest(plan, parts, engine), engine, EngineOptions(residency="one"))
        self._graphs = graphs
        self._watch = watch
        self._told = told or {}
        taught = [token for embedding in plan.checkpoint.embeddings for token in embedding.tokens]
        for name in plan.anatomy.tokenizers:
            write_tokenizer(plan.checkpoint.folder / name, folder / name, taught)

    def tokenizer(self, name: str) -> Tokenizer:
        return Tokenizer(self.folder / name / "tokenizer.json")

    def open(self, part: Component) -> Session:
        more = tuple(TensorSpec(name, "float32", ()) for name in self._told.get(part.name, ()))
        whole = replace(part, outputs=(*part.outputs, *more))
        inner = open_session(self._graphs[part.name], whole, self.target, self.manifest.shapes, self.options)
        return self._watch(inner, part)
