"""Plans, bundles and targets, as text for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .runtime import session
from .runtime.errors import MissingPackage
from .runtime.manifest import Manifest
from .runtime.shapes import Shapes
from .runtime.target import Target
from .terminal import size_text, table

if TYPE_CHECKING:
    from .compile.plan import Plan


def plan_text(plan: Plan) -> str:
    """What a compile is about to do."""
    budget = plan.profile.budget
    away = "" if plan.verify_on == plan.target else f" ({plan.target} is not on this machine)"
    head = [
        ("model", f"{plan.checkpoint.source} ({plan.anatomy.pipeline})"),
        *(("LoRA", f"{lora.file.name} at scale {lora.scale:g}") for lora in plan.checkpoint.loras),
        *(("embedding", _word(embedding.tokens)) for embedding in plan.checkpoint.embeddings),
        ("target", f"{plan.target}: {plan.reason}"),
        ("profile", f"{plan.profile.name}: {plan.profile.description}"),
        ("shapes", shapes_text(plan.shapes)),
        ("verified", f"on {plan.verify_on}{away}; relative error at most {budget.relative_error:g}, "
         f"{len(plan.goldens)} golden image(s) of {plan.profile.verify.steps} steps at {budget.psnr_db:g} dB or more"),
        ("output", plan.output),
    ]  # fmt: skip
    parts = [(c.name, c.precision, c.scheme, f"about {size_text(plan.size_bytes(c))}") for c in plan.components]
    return f"{table(head)}\n\n{table(parts, ('component', 'precision', 'quantized', 'weights'))}"


def manifest_text(manifest: Manifest) -> str:
    """What a bundle says of itself."""
    checked = manifest.verification
    files = manifest.files.values()
    model, usual = manifest.model, manifest.defaults
    head = [
        ("model", f"{model.name} ({model.family}), from {model.source}"),
        *((a.kind, _word(a.tokens) if a.tokens else f"{a.name} at scale {a.scale:g}") for a in model.adapters),
        ("licence", model.license or "not stated by the model"),
        ("target", f"{manifest.target}, needs " + ", ".join(f"{k} {v}" for k, v in manifest.requires.items())),
        ("profile", manifest.profile),
        ("shapes", shapes_text(manifest.shapes)),
        ("defaults", f"{usual.num_inference_steps} steps, guidance scale {usual.guidance_scale:g}"),
        ("scheduler", usual.scheduler or manifest.scheduler.get("_class_name")),
        ("verified", f"on {checked.target} against {checked.reference}, at least {checked.min_psnr_db:g} dB"),
        ("size", f"{size_text(sum(file.size_bytes for file in files))} in {len(files)} files"),
    ]
    parts = [
        (
            c.name,
            c.precision,
            c.scheme,
            size_text(_component_bytes(manifest, c.name)),
            f"{c.quality.get('relative_error', float('nan')):.2g}",
        )
        for c in manifest.components
    ]
    goldens = [(f"{g.psnr_db:.1f} dB", f"seed {g.seed}, {g.steps} steps", g.prompt) for g in checked.goldens]
    return "\n\n".join(
        (
            table(head),
            table(parts, ("component", "precision", "quantized", "size", "relative error")),
            "golden images\n" + table(goldens),
        )
    )


def describe_targets() -> list[dict[str, Any]]:
    """Every target that can be built for: whether this machine has it, and what it is."""
    from .targets import all_targets

    rows = []
    for word in all_targets():
        target = Target.parse(word)
        row: dict[str, Any] = {"target": word, "engine": "not installed", "here": False, "device": ""}
        try:
            row["engine"] = " ".join(f"{k} {v}" for k, v in session.backend(target).versions().items())
            row["here"] = target.device in session.devices(target)
            row["device"] = session.backend(target).describe(target.device) if row["here"] else ""
        except MissingPackage as reason:
            row["device"] = str(reason)
        rows.append(row)
    return rows


def shapes_text(shapes: Shapes) -> str:
    """Sizes, batch and guidance in one line."""
    if shapes.height and shapes.width:
        sizes = f"{shapes.height.min} to {shapes.height.max} x {shapes.width.min} to {shapes.width.max}"
    else:
        sizes = ", ".join(f"{height}x{width}" for height, width in shapes.sizes)
    calls = "guidance in one batch" if shapes.guidance == "batch" else "guidance in two calls"
    return f"{sizes} (height x width), {shapes.batch} image(s) a call, {calls}"


def _word(tokens: Sequence[str]) -> str:
    """A word that an embedding taught."""
    return f"{tokens[0]}, of {len(tokens)} vector(s)"


def _component_bytes(manifest: Manifest, name: str) -> int:
    return sum(file.size_bytes for path, file in manifest.files.items() if path.startswith(f"{name}/"))
