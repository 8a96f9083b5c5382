"""Captions, their vocabulary and the held-out split."""

import numpy as np
import pytest

from aquatint.demo.draw import Thing
from aquatint.demo.prompts import WORDS, Request, caption, held_out, random_scene, read_caption


def test_held_out_prompts_are_two_hundred_and_stay_the_same():
    prompts = [prompt for prompt, _ in held_out()]
    assert len(set(prompts)) == 200
    assert prompts[0] == "a small cyan star on the right on a black background"
    assert prompts[:50] == [prompt for prompt, _ in held_out(50)]


def test_most_held_out_prompts_have_one_object():
    assert sum(scene.other is not None for _, scene in held_out()) == 40


def test_training_scenes_are_never_held_out():
    rng = np.random.default_rng(1)
    kept = {scene for _, scene in held_out()}
    # One in fourteen scenes of one object is held out, so 2,000 draws without the rule would hit about 100.
    assert not any(random_scene(rng) in kept for _ in range(2000))


def test_captions_use_the_vocabulary_only():
    rng = np.random.default_rng(2)
    said = {word for _ in range(3000) for word in caption(random_scene(rng), rng).split()}
    assert said == set(WORDS)


def test_a_caption_reads_back_as_its_scene():
    rng = np.random.default_rng(3)
    for _ in range(500):
        scene = random_scene(rng)
        request = read_caption(caption(scene, rng))
        assert request.things == ((scene.main,) if scene.other is None else (scene.main, scene.other))
        assert request.relation == scene.relation
        assert request.background in (None, scene.background)


def test_a_short_prompt_leaves_the_background_open():
    assert read_caption("A red circle") == Request((Thing("circle", "red"),), None, None)


def test_a_prompt_without_an_object_is_refused():
    with pytest.raises(ValueError, match="a red dog"):
        read_caption("a red dog")
