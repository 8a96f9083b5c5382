"""Captions for scenes, their vocabulary, and the prompts held out from training."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from .draw import BACKGROUNDS, COLORS, POSITIONS, RADII, RELATIONS, SHAPES, Scene, Thing

PLACES = {
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
    "center": "in the center",
}
WORDS = (
    *("a", "an", "the", "and", "of", "on", "at", "in", "above", "below", "background", "small", "large"),
    *POSITIONS,
    *COLORS,
    *BACKGROUNDS,
    *SHAPES,
)
HELD_OUT_SINGLES = 160
HELD_OUT_PAIRS = 40


@dataclass(frozen=True)
class Request:
    """What a caption asks for and a judge can check: one or two things, how they stand, and on what."""

    things: tuple[Thing, ...]
    relation: str | None
    background: str | None


def read_caption(text: str) -> Request:
    """The request of a caption, however much it leaves unsaid.

    Raises ValueError if the text names no colour and shape, or more than two objects.
    """
    words = text.lower().split()
    colors = [word for word in words if word in COLORS]
    shapes = [word for word in words if word in SHAPES]
    if len(colors) != len(shapes) or len(colors) not in (1, 2):
        raise ValueError(f"{text!r} should name one or two objects, each with a colour and a shape")
    relations = [relation for relation in RELATIONS if f" {relation} " in text.lower()]
    return Request(
        things=tuple(Thing(shape, color) for shape, color in zip(shapes, colors, strict=True)),
        relation=relations[0] if len(colors) == 2 and relations else None,
        background=next((word for word in words if word in BACKGROUNDS), None),
    )


def random_scene(rng: np.random.Generator) -> Scene:
    """Any scene that is not held out; one in six shows two objects."""
    while True:
        scene = _random_pair(rng) if rng.random() < 1 / 6 else _random_single(rng)
        if scene not in _held_out_scenes():
            return scene


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of the scene's captions; size, place and background are often left unsaid."""
    if scene.other is not None:
        text = f"{_noun(scene.main)} {scene.relation} {_noun(scene.other)}"
    else:
        size = scene.size if scene.size != "medium" and rng.random() < 0.85 else ""
        text = _noun(scene.main, size)
        if rng.random() < (0.5 if scene.position == "center" else 0.85):
            text += f" {PLACES[scene.position]}"
    chance = rng.random()
    if chance < 0.65:
        text += f" on a {scene.background} background"
    elif chance < 0.8:
        text += f" on {scene.background}"
    if rng.random() < 0.1:
        text = text.removeprefix("an ").removeprefix("a ")
    return text


def training_captions(count: int) -> list[str]:
    """Captions as training shows them, the same ones at every call."""
    rng = np.random.default_rng(0)
    return [caption(random_scene(rng), rng) for _ in range(count)]


def full_caption(scene: Scene) -> str:
    """The caption that leaves nothing unsaid (medium size has no word)."""
    if scene.other is not None:
        text = f"{_noun(scene.main)} {scene.relation} {_noun(scene.other)}"
    else:
        text = f"{_noun(scene.main, scene.size if scene.size != 'medium' else '')} {PLACES[scene.position]}"
    return f"{text} on a {scene.background} background"


def held_out(count: int = HELD_OUT_SINGLES + HELD_OUT_PAIRS) -> list[tuple[str, Scene]]:
    """The first prompts, with their scenes, that training never shows in any wording; at most 200."""
    scenes = list(_held_out_scenes())
    if not 0 < count <= len(scenes):
        raise ValueError(f"count is {count}; there are 1 to {len(scenes)} held-out prompts")
    return [(full_caption(scene), scene) for scene in scenes[:count]]


@cache
def _held_out_scenes() -> dict[Scene, None]:
    """The split: scenes drawn from a fixed seed, one pair after every four single objects."""
    rng = np.random.default_rng(2026)
    singles = [
        Scene(background, Thing(shape, color), size, position)
        for background, shape, color, size, position in product(BACKGROUNDS, SHAPES, COLORS, RADII, POSITIONS)
    ]
    scenes = [singles[i] for i in rng.permutation(len(singles))[:HELD_OUT_SINGLES]]
    every = HELD_OUT_SINGLES // HELD_OUT_PAIRS
    for i in range(HELD_OUT_PAIRS):
        scenes.insert(i * (every + 1) + every, _random_pair(rng))
    assert len(set(scenes)) == len(scenes)
    return dict.fromkeys(scenes)


def _random_single(rng: np.random.Generator) -> Scene:
    return Scene(_pick(BACKGROUNDS, rng), _random_thing(rng), _pick(RADII, rng), _pick(POSITIONS, rng))


def _random_pair(rng: np.random.Generator) -> Scene:
    background, main, relation = _pick(BACKGROUNDS, rng), _random_thing(rng), _pick(RELATIONS, rng)
    return Scene(background, main, relation=relation, other=_random_thing(rng))


def _random_thing(rng: np.random.Generator) -> Thing:
    return Thing(_pick(SHAPES, rng), _pick(COLORS, rng))


def _pick(names: Iterable[str], rng: np.random.Generator) -> str:
    choices = list(names)
    return choices[rng.integers(len(choices))]


def _noun(thing: Thing, size: str = "") -> str:
    words = f"{size} {thing.color} {thing.shape}".strip()
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
