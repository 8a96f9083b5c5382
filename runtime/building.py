"""Engines that a device builds for itself, of a bundle that carries ONNX for them."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from .errors import NonFinite, QualityMissed
from .goldens import print_goldens
from .manifest import Golden
from .session import BuildStep, backend

if TYPE_CHECKING:
    from .bundle import Bundle


def build_engines(bundle: Bundle) -> Generator[BuildStep, None, list[Golden]]:
    """Build what is missing, then print the golden images with it; yields what is being done, returns the goldens.

    Nothing is done, and nothing returned, where all is built and verified, or there is nothing to build.
    Raises SessionFailed where the engine can't be built, QualityMissed where it prints something else; then it is gone.
    """
    engines = bundle.builder
    if engines is None:
        return []
    missing = engines.missing()
    for index, part in enumerate(missing, start=1):
        label = f"building {part.name} ({index} of {len(missing)})"
        yield BuildStep(label)
        for step in engines.build(part):
            yield replace(step, phase=f"{label}: {step.phase}")
    if engines.verified and not missing:
        return []
    backend(bundle.target).admit(bundle.folder, bundle.manifest, bundle.target.device, bundle.options)
    yield BuildStep("printing the golden images")
    try:
        goldens = print_goldens(bundle)
    except (QualityMissed, NonFinite):
        bundle.close()
        engines.discard()
        raise
    bundle.close()
    engines.mark_verified()
    return goldens
