"""Quantizing as a stage of the compile: a graph's layers assigned, rewritten once, and kept for every target."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ..profiles.profile import COMPONENTS, Profile
from ..quantize.assign import Assignment, Rule, assign
from ..quantize.scheme import NONE, find_scheme
from ..runtime.errors import BadProfile
from ..runtime.manifest import Component
from .cache import Cache
from .export import GRAPH
from .memory import release_memory
from .source import Source

log = logging.getLogger(__name__)

MIXED = "mixed"
QUANTIZE_FORMAT = 1  # raise it when a scheme changes what it writes


@dataclass(frozen=True)
class Recipe:
    """What the layers of one component get: the first rule that matches, else the default."""

    default: Rule
    rules: tuple[Rule, ...] = ()

    @property
    def schemes(self) -> tuple[str, ...]:
        """Every scheme that it may give a layer, fallbacks among them."""
        found: dict[str, None] = {}
        waiting = [rule.scheme for rule in (self.default, *self.rules)]
        while waiting:
            name = waiting.pop()
            if name != NONE and name not in found:
                found[name] = None
                waiting.append(find_scheme(name).FALLBACK)
        return tuple(found)

    @property
    def word(self) -> str:
        """For the manifest: the one scheme, "mixed", or "none"."""
        names = {rule.scheme for rule in (self.default, *self.rules)}
        return names.pop() if len(names) == 1 else MIXED


def recipe_of(profile: Profile, component: str) -> Recipe:
    """The recipe that a profile has for a component.  Raises UnknownName, BadProfile."""
    rules = (Rule(rule.scheme, rule.layers, rule.kind, rule.component, rule.settings) for rule in profile.rules)
    return Recipe(
        Rule(profile.scheme_of(component)), tuple(rule for rule in rules if fnmatchcase(component, rule.component))
    )


def read_schemes(word: str) -> dict[str, str]:
    """The --quantize option: "int4" -> {"default": "int4"}; "unet=int4,text_encoder=none" -> one for each.

    Raises BadProfile for a component that no family has; the schemes are looked up by recipe_of.
    """
    found: dict[str, str] = {}
    for part in word.split(","):
        name, equals, scheme = part.strip().partition("=")
        component, scheme = (name, scheme) if equals else ("default", name)
        if component not in ("default", *COMPONENTS) or not scheme:
            raise BadProfile(
                f"--quantize {word!r}: {part.strip()!r} is neither a scheme, such as int4, nor COMPONENT=SCHEME; "
                f"components: {', '.join(COMPONENTS)}"
            )
        if component in found:
            raise BadProfile(f"--quantize {word!r} gives {component} two schemes")
        found[component] = scheme
    return found


def quantized_graph(source: Source, component: Component, recipe: Recipe, cache: Cache) -> Path:
    """The component's graph with its layers quantized, from the cache where that was done before; any target's.

    Raises BadProfile for a rule that matches no layer, BadModel for weights that no scheme can hold.
    """
    graph = source.graph(component.name)
    if recipe.word == NONE:
        return graph

    def make(into: Path) -> None:
        _quantize(graph, component, recipe, into)

    key = quantized_key(source, component, recipe)
    return cache.entry("quantized", f"{component.name} {recipe.word}", key, make) / GRAPH


def quantized_key(source: Source, component: Component, recipe: Recipe) -> dict[str, Any]:
    """All that the quantized graph depends on."""
    key: dict[str, Any] = {"graph": source.graph_key(component.name)}
    if recipe.word != NONE:
        key["quantize"] = {
            "format": QUANTIZE_FORMAT,
            "default": _plain(recipe.default),
            "rules": [_plain(rule) for rule in recipe.rules],
        }
    return key


def _quantize(graph: Path, component: Component, recipe: Recipe, into: Path) -> None:
    import onnx_ir as ir

    from ..quantize.apply import quantize_model
    from ..quantize.layers import find_layers

    start = time.perf_counter()
    model = ir.load(graph)
    assignments = assign(find_layers(model), recipe.rules, recipe.default, component=component.name)
    summary = quantize_model(model, assignments)
    ir.save(model, into / GRAPH, external_data=f"{GRAPH}.data")
    release_memory()
    shares = ", ".join(f"{share.layers} layers {name}" for name, share in sorted(summary.schemes.items()))
    log.info("%s: quantized, %s, %.1f s", component.name, shares, time.perf_counter() - start)
    for reason, layers in _fallen(assignments).items():
        log.info("%s: %d layers: %s", component.name, layers, reason)


def _fallen(assignments: list[Assignment]) -> Mapping[str, int]:
    """Reason -> how many layers did not get what was asked for it."""
    found: dict[str, int] = {}
    for assignment in assignments:
        if ", so " in assignment.reason:
            found[assignment.reason] = found.get(assignment.reason, 0) + 1
    return found


def _plain(rule: Rule) -> dict[str, Any]:
    return {**asdict(rule), "settings": dict(rule.settings)}
