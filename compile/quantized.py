"""Quantizing as a stage of the compile: a graph's layers assigned, rewritten once, and kept for every target."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..profiles.profile import COMPONENTS, Profile, QuantizeRule
from ..quantize.assign import Rule, assign
from ..quantize.scheme import NONE
from ..runtime.errors import BadProfile
from .cache import Cache
from .export import GRAPH
from .memory import release_memory
from .recording import Recording
from .source import Source

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..quantize.apply import Summary

log = logging.getLogger(__name__)

MIXED = "mixed"
TEXT = ("text_encoder", "text_encoder_2")
# What text encoders get of a scheme for the whole model: they run once for a picture, and every step sees their error.
OF_TEXT = {"int8": "int8-weights", "fp8": "int8-weights"}
QUANTIZE_FORMAT = 4  # raise it when a scheme changes what it writes


@dataclass(frozen=True)
class Recipe:
    """What the layers of one component get: the first rule that matches, else the default."""

    default: Rule
    rules: tuple[Rule, ...] = ()

    @property
    def asks(self) -> bool:
        """Whether it says anything of any layer."""
        return bool(self.rules) or self.default.scheme != NONE

    @property
    def word(self) -> str:
        """For the manifest: the one scheme, "mixed", or "none"."""
        names = {rule.scheme for rule in (self.default, *self.rules)}
        return names.pop() if len(names) == 1 else MIXED


Musts = Callable[[str], Mapping[str, Any]]  # scheme -> settings that it must have


def recipe_of(profile: Profile, component: str, musts: Musts = lambda scheme: {}) -> Recipe:
    """The recipe that a profile has for a component.

    musts: of the target.  Raises UnknownName, BadProfile.
    """
    rules = tuple(rule for rule in rules_of(profile, musts) if fnmatchcase(component, rule.component))
    scheme = profile.scheme_of(component)
    if component in TEXT and component not in profile.quantize:
        scheme = OF_TEXT.get(scheme, scheme)
    return Recipe(Rule(scheme, settings=musts(scheme)), rules)


def rules_of(profile: Profile, musts: Musts = lambda scheme: {}) -> tuple[Rule, ...]:
    """The profile's rules for all components.  Raises UnknownName, BadProfile."""
    return tuple(
        Rule(rule.scheme, rule.layers, rule.kind, rule.component, _settled(rule, musts(rule.scheme)))
        for rule in profile.rules
    )


def _settled(rule: QuantizeRule, musts: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in musts.items():
        if rule.settings.get(name, value) != value:
            raise BadProfile(
                f"the rule {rule.layers} -> {rule.scheme} asks for {name} = {rule.settings[name]!r}; "
                f"the target takes {value!r} only"
            )
    return {**rule.settings, **musts}


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


@dataclass(frozen=True)
class QuantizedGraphs:
    """The components' graphs with their layers quantized, each made once for every target, and kept in the cache.

    recipes: by component.  recording: of calibration; None where no scheme asks for it.
    """

    source: Source
    recipes: Mapping[str, Recipe]
    recording: Recording | None
    cache: Cache

    def graph(self, component: str) -> Path:
        """Raises BadProfile for a rule that matches no layer, BadModel for weights that no scheme can hold."""
        recipe = self.recipes[component]
        if not recipe.asks:
            return self.source.graph(component)
        entry = f"{component} {recipe.word}"
        made = self.cache.entry("quantized", entry, self.key(component), lambda into: self.write(component, into))
        return made / GRAPH

    def key(self, component: str) -> dict[str, Any]:
        """All that the graph depends on."""
        recipe = self.recipes[component]
        key: dict[str, Any] = {"graph": self.source.graph_key(component)}
        if recipe.asks:
            key["quantize"] = {
                "format": QUANTIZE_FORMAT,
                "default": _plain(recipe.default),
                "rules": [_plain(rule) for rule in recipe.rules],
                "calibration": None if self.recording is None else self.recording.key,
            }
        return key

    def write(self, component: str, into: Path) -> None:
        """Quantize anew, into a folder."""
        import onnx_ir as ir

        start = time.perf_counter()
        model, summary = quantized_model(self, component, self.recipes[component])
        ir.save(model, into / GRAPH, external_data=f"{GRAPH}.data")
        release_memory()
        shares = ", ".join(f"{share.layers} layers {name}" for name, share in sorted(summary.schemes.items()))
        log.info("%s: quantized, %s, %.1f s", component, shares, time.perf_counter() - start)


def quantized_model(graphs: QuantizedGraphs, component: str, recipe: Recipe) -> tuple[ir.Model, Summary]:
    """The component's graph in memory, quantized by any recipe; its codes are computed when it is saved."""
    import onnx_ir as ir

    from ..quantize.activations import Activations
    from ..quantize.apply import quantize_model
    from ..quantize.layers import find_layers

    model = ir.load(graphs.source.graph(component))
    assignments = assign(find_layers(model), recipe.rules, recipe.default, component=component)
    asks = any(assignment.calibrated for assignment in assignments)
    recorded = Activations(graphs.recording.rows(component)) if asks and graphs.recording else None
    return model, quantize_model(model, assignments, recorded)


def _plain(rule: Rule) -> dict[str, Any]:
    return {**asdict(rule), "settings": dict(rule.settings)}
