"""The manifest as far as a plan tells it."""

from __future__ import annotations

import re
from pathlib import Path

from .. import __version__
from ..runtime.manifest import FORMAT, Component, Manifest, Model, Verification
from ..runtime.session import backend
from ..runtime.target import Target
from ..targets import backend as builder
from .adapters import adapter_records
from .plan import Plan
from .source import versions


def draft_manifest(plan: Plan, components: tuple[Component, ...], target: Target) -> Manifest:
    """What is known before anything is built: all but the files, their hashes and what is measured."""
    checkpoint, budget = plan.checkpoint, plan.profile.budget
    ours = target == plan.target
    engine = builder(target).requires(plan.order) if ours else backend(target).versions()
    words = {embedding.token: embedding.vectors for embedding in checkpoint.embeddings}
    return Manifest(
        format=FORMAT,
        model=Model(
            name=checkpoint.name,
            family=plan.anatomy.pipeline,
            source=checkpoint.source,
            revision=checkpoint.revision,
            license=license_of(checkpoint.folder),
            adapters=adapter_records(checkpoint),
        ),
        target=str(target),
        profile=plan.profile.name,
        pipeline=plan.anatomy.pipeline,
        shapes=plan.shapes,
        settings={**plan.anatomy.settings, **({"embeddings": words} if words else {})},
        scheduler=checkpoint.config("scheduler"),
        defaults=plan.defaults,
        components=components,
        verification=Verification(
            target=str(plan.verify_on),
            reference="onnx" if checkpoint.is_onnx else "diffusers",
            min_psnr_db=budget.psnr_db,
            min_ssim=budget.ssim,
            max_latent_distance=budget.latent_distance,
            goldens=(),
        ),
        built_with={**{"aquatint": __version__}, **versions(), **engine},
        requires=engine,
        files={},
        build=plan.profile.tensorrt if ours and plan.order.on_device else None,
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
