"""Which layer gets which scheme, decided before any work and with the reason in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from fnmatch import fnmatchcase
from typing import Any

from ..runtime.errors import BadProfile
from .layers import KINDS, Layer
from .scheme import NONE, Settings, find_scheme


@dataclass(frozen=True)
class Rule:
    """The scheme for some layers; the first rule that matches a layer holds.

    scheme: a name in quantize/schemes, or "none".  layers, component: patterns as of file names.
    kind: "linear", "conv", or None for both.  settings: of the scheme; what is left out has its default.
    fallback: the scheme for layers that can't have this one; None leaves it to the scheme.
    """

    scheme: str
    layers: str = "*"
    kind: str | None = None
    component: str = "*"
    settings: Mapping[str, Any] = field(default_factory=dict)
    fallback: str | None = None

    def __post_init__(self) -> None:
        """Raises UnknownName for the scheme or the fallback, BadProfile for the rest."""
        if self.kind is not None and self.kind not in KINDS:
            raise BadProfile(f"{self}: unknown kind {self.kind!r}; known: {', '.join(KINDS)}")
        if self.scheme != NONE:
            full_settings(self.scheme, self.settings)
        elif self.settings:
            raise BadProfile(f"{self}: none has no settings")
        if self.fallback not in (None, NONE):
            find_scheme(str(self.fallback))

    def __str__(self) -> str:
        which = f" ({self.kind})" if self.kind else ""
        return f"the rule {self.layers}{which} of {self.component} -> {self.scheme}"

    def matches(self, layer: Layer, component: str) -> bool:
        """component: "" stands for a graph by itself, which every rule is for."""
        return _is_for(self, component) and self.kind in (None, layer.kind) and fnmatchcase(layer.name, self.layers)


@dataclass(frozen=True)
class Assignment:
    """What one layer gets.  reason: why it is not what was asked, or, as_asked, which rule asked for it."""

    layer: Layer
    scheme: str
    settings: Settings
    reason: str
    as_asked: bool = True

    @property
    def calibrated(self) -> bool:
        """Whether its scheme asks what the layer is given."""
        return self.scheme != NONE and find_scheme(self.scheme).calibrated(self.settings)

    @property
    def size_bytes(self) -> int | None:
        """What the weight will take; None where it stays as it is."""
        return None if self.scheme == NONE else find_scheme(self.scheme).size_bytes(self.layer, self.settings)


def assign(layers: Sequence[Layer], rules: Sequence[Rule], default: Rule, component: str = "") -> list[Assignment]:
    """One assignment for each layer, in their order.

    default: for layers that no rule matches; its patterns are not asked.
    Raises BadProfile for a rule made for this component, or for any where component is "", that matches no layer;
    rules for several components are check_rules' to judge.
    """
    check_rules([rule for rule in rules if component in ("", rule.component)], {component: layers})
    found = []
    for layer in layers:
        rule = next((rule for rule in rules if rule.matches(layer, component)), None)
        found.append(_settle(layer, default, "the default") if rule is None else _settle(layer, rule, str(rule)))
    return found


def check_rules(rules: Iterable[Rule], components: Mapping[str, Sequence[Layer]]) -> None:
    """Raises BadProfile for a rule that matches no component, or no layer of any.  components: name -> its layers."""
    for rule in rules:
        meant = {name: layers for name, layers in components.items() if _is_for(rule, name)}
        if not meant:
            raise BadProfile(f"{rule} matches no component; there are {', '.join(components)}")
        if not any(rule.matches(layer, name) for name, layers in meant.items() for layer in layers):
            nearest = _nearest(rule, [layer for layers in meant.values() for layer in layers])
            hint = f"the nearest are {' and '.join(nearest)}" if nearest else "there are none"
            raise BadProfile(f"{rule} matches no layer; {hint}")


def unmet(assignments: Iterable[Assignment]) -> dict[str, int]:
    """Reason -> how many layers did not get what was asked for them."""
    return dict(Counter(assignment.reason for assignment in assignments if not assignment.as_asked))


def full_settings(scheme: str, settings: Settings) -> Settings:
    """The settings with the defaults of what is left out.

    Raises UnknownName for the scheme, BadProfile for unknown settings and impossible values.
    """
    found = find_scheme(scheme)
    unknown = sorted(set(settings) - set(found.SETTINGS))
    if unknown:
        known = ", ".join(found.SETTINGS) or "none"
        raise BadProfile(f"{found.NAME} has no setting {', '.join(unknown)}; known: {known}")
    full = {**found.SETTINGS, **settings}
    found.check(full)
    return full


def _settle(layer: Layer, rule: Rule, asked: str) -> Assignment:
    """What the layer can have of what the rule asks; each scheme that refuses names the next."""
    name, settings = rule.scheme, rule.settings
    why: list[str] = []
    while name != NONE:
        scheme = find_scheme(name)
        full = full_settings(name, settings)
        if layer.kind in scheme.KINDS:
            refusal = scheme.refusal(layer, full)
        else:
            refusal = f"{scheme.NAME} is for {' and '.join(scheme.KINDS)} layers only"
        if refusal is None:
            settled, note = scheme.settle(layer, full)
            reasons = [*why, *([note] if note else [])]
            return Assignment(layer, scheme.NAME, settled, "; ".join(reasons) or asked, not reasons)
        first = not why
        name, settings = (rule.fallback if first and rule.fallback else scheme.FALLBACK), {}
        why.append(f"{refusal}, so {name}")
    return Assignment(layer, NONE, {}, "; ".join(why) or asked, not why)


def _is_for(rule: Rule, component: str) -> bool:
    return component == "" or fnmatchcase(component, rule.component)


def _nearest(rule: Rule, layers: Sequence[Layer]) -> list[str]:
    """The two layers with most of what the rule's pattern says in long pieces, each with its kind."""
    said = rule.layers.lower()

    def likeness(layer: Layer) -> int:
        pieces = SequenceMatcher(None, said, layer.name.lower(), autojunk=False).get_matching_blocks()
        return sum(piece.size**2 for piece in pieces)

    return [f"{layer.name} ({layer.kind})" for layer in sorted(layers, key=likeness, reverse=True)[:2]]
