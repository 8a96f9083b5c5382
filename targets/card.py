"""What a build says of its artifact beyond the files, kept beside them until it stands in the manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..runtime.errors import BundleCorrupt
from ..runtime.manifest import Bound, Component
from ..runtime.record import from_table, to_table

CARD = "built.json"


@dataclass(frozen=True)
class Card:
    """The fields of a Component that only its build can tell."""

    memory: dict[str, int] = field(default_factory=dict)
    bound: Bound | None = None


def write_card(card: Card, folder: Path) -> None:
    """Leave it in the artifact's folder."""
    (folder / CARD).write_text(json.dumps(to_table(card), indent=2), encoding="utf-8")


def with_card(component: Component, folder: Path) -> Component:
    """The component as the card in the folder tells, or as it is where there is none."""
    path = folder / CARD
    if not path.is_file():
        return component
    card = from_table(Card, json.loads(path.read_text(encoding="utf-8")), str(path), BundleCorrupt)
    return replace(component, memory=card.memory, bound=card.bound)
