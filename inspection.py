"""Plans and bundles, as text for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from .runtime.manifest import Golden, Manifest
from .runtime.room import needed_bytes
from .runtime.shapes import Shapes
from .terminal import size_text, table

if TYPE_CHECKING:
    from .compile.plan import Plan
    from .profiles.budget import Budget


def plan_text(plan: Plan) -> str:
    """What a compile is about to do."""
    budget = plan.profile.budget
    away = f" ({plan.target} is not on this machine)"
    if plan.order.on_device:
        away = ", and again by every machine that builds its engines of it"
    elif plan.verify_on == plan.target:
        away = ""
    head = [
        ("model", f"{plan.checkpoint.source} ({plan.anatomy.pipeline})"),
        *(("LoRA", f"{lora.file.name} at scale {lora.scale:g}") for lora in plan.checkpoint.loras),
        *(("embedding", _word(embedding.tokens)) for embedding in plan.checkpoint.embeddings),
        ("target", f"{plan.target}: {plan.reason}"),
        ("profile", f"{plan.profile.name}: {plan.profile.description}"),
        ("shapes", shapes_text(plan.shapes)),
        ("verified", f"on {plan.verify_on}{away}; relative error at most {budget.relative_error:g}, "
         f"{len(plan.goldens)} golden image(s) of {plan.profile.verify.steps} steps, {_asked(budget)}"),
        ("output", plan.output),
    ]  # fmt: skip
    parts = [(c.name, c.precision, c.scheme, size_text(plan.size_bytes(c))) for c in plan.components]
    unmet = [
        (reason, ", ".join(f"{layers} layers of {name}" for name, layers in counts.items()))
        for reason, counts in plan.unmet.items()
    ]
    texts = [table(head), table(parts, ("component", "precision", "quantized", "weights"))]
    return "\n\n".join([*texts, *([table(unmet, ("not as asked", ""))] if unmet else [])])


def manifest_text(manifest: Manifest) -> str:
    """What a bundle says of itself."""
    checked, judge = manifest.verification, manifest.verification.judge
    files = manifest.files.values()
    model, usual = manifest.model, manifest.defaults
    head = [
        ("model", f"{model.name} ({model.family}), from {model.source}"),
        *((a.kind, _word(a.tokens) if a.tokens else f"{a.name} at scale {a.scale:g}") for a in model.adapters),
        ("licence", model.license or "not stated by the model"),
        ("target", ", needs ".join(filter(None, (manifest.target, _packages(manifest.requires))))),
        *_device_lines(manifest),
        ("profile", manifest.profile),
        ("shapes", shapes_text(manifest.shapes)),
        ("defaults", f"{usual.num_inference_steps} steps, guidance scale {usual.guidance_scale:g}"),
        ("scheduler", usual.scheduler or manifest.scheduler.get("_class_name")),
        ("verified", f"on {checked.target} against {checked.reference}"),
        *(
            [("judge", f"{judge.right} of {judge.of} prompts drawn right, by the checkpoint {judge.reference}")]
            if judge
            else []
        ),
        ("size", f"{size_text(sum(file.size_bytes for file in files))} in {len(files)} files"),
    ]
    parts = [
        (
            c.name,
            c.precision,
            c.scheme,
            size_text(_component_bytes(manifest, c.name)),
            f"{c.quality.get('relative_error', float('nan')):.2g}",
            f"{c.quality['time_ratio']:.2f}" if "time_ratio" in c.quality else "",
        )
        for c in manifest.components
    ]
    bounds = (
        f">= {checked.min_psnr_db:g} dB",
        _bound(">=", checked.min_ssim),
        _bound("<=", checked.max_latent_distance),
    )
    goldens = [(*_figures(g), f"seed {g.seed}, {g.steps} steps", g.prompt) for g in checked.goldens]
    goldens.append((*bounds, "asked", ""))
    return "\n\n".join(
        (
            table(head),
            table(parts, ("component", "precision", "quantized", "size", "relative error", "time")),
            table(goldens, ("PSNR", "SSIM", "latent distance", "golden image", "")),
        )
    )


def _device_lines(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """What the artifacts are bound to, or are to be built into, and what they take of a device's memory."""
    bounds = [part.bound for part in manifest.components if part.bound is not None]
    for device, packages in sorted({(bound.device, _packages(bound.versions)) for bound in bounds}):
        yield "plans", f"for {device}, by {packages} only"
    if manifest.build is not None:
        yield "engines", "built by each machine of the ONNX in here: aquatint build"
    if any(part.memory for part in manifest.components):
        whole, one = (size_text(needed_bytes(manifest.components, residency)) for residency in ("all", "one"))
        yield "on the GPU", f"{whole}, or {one} with --low-memory, by the figures of its parts"


def _packages(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {release}" for name, release in versions.items())


def shapes_text(shapes: Shapes) -> str:
    """Sizes, batch and guidance in one line."""
    if shapes.height and shapes.width:
        sizes = f"{shapes.height.min} to {shapes.height.max} x {shapes.width.min} to {shapes.width.max}"
    else:
        sizes = ", ".join(f"{height}x{width}" for height, width in shapes.sizes)
    calls = "guidance in one batch" if shapes.guidance == "batch" else "guidance in two calls"
    return f"{sizes} (height x width), {shapes.batch} image(s) a call, {calls}"


def _asked(budget: Budget) -> str:
    """The bounds of golden images, in words."""
    words = [f"{budget.psnr_db:g} dB or more"]
    words += [f"SSIM {budget.ssim:g} or more"] if budget.ssim is not None else []
    words += [f"latent distance {budget.latent_distance:g} or less"] if budget.latent_distance is not None else []
    words += [f"at most {budget.judge} of the judge's prompts lost"] if budget.judge is not None else []
    return ", ".join(words)


def _figures(golden: Golden) -> tuple[str, str, str]:
    ssim, distance = ("" if found is None else f"{found:.3f}" for found in (golden.ssim, golden.latent_distance))
    return f"{golden.psnr_db:.1f} dB", ssim, distance


def _bound(sign: str, bound: float | None) -> str:
    return "" if bound is None else f"{sign} {bound:g}"


def _word(tokens: Sequence[str]) -> str:
    """A word that an embedding taught."""
    return f"{tokens[0]}, of {len(tokens)} vector(s)"


def _component_bytes(manifest: Manifest, name: str) -> int:
    return sum(file.size_bytes for path, file in manifest.files.items() if path.startswith(f"{name}/"))
