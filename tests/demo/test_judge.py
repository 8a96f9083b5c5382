"""The judge against pictures whose content is known because we drew them."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from aquatint.demo.draw import Scene, Thing, draw
from aquatint.demo.judge import Verdict, compare, judge, see
from aquatint.demo.prompts import full_caption, held_out, random_scene, read_caption


@pytest.fixture(scope="module")
def drawings() -> list[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(5)
    scenes = [random_scene(rng) for _ in range(300)]
    return [(full_caption(scene), draw(scene, rng)) for scene in scenes]


def test_clean_drawings_are_right(drawings):
    score = judge(drawings)
    assert score.count == 300
    assert min(score.color, score.shape, score.scene) >= 0.99


def test_held_out_scenes_are_right_when_drawn():
    rng = np.random.default_rng(6)
    score = judge((prompt, draw(scene, rng)) for prompt, scene in held_out(60))
    assert min(score.color, score.shape, score.scene) >= 0.99


def test_slight_blur_and_noise_do_not_matter(drawings):
    rng = np.random.default_rng(7)

    def spoil(picture: np.ndarray) -> np.ndarray:
        blurred = np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(1)), dtype=np.float32)
        return np.clip(blurred + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)

    score = judge((prompt, spoil(picture)) for prompt, picture in drawings)
    # Blur shrinks a small star's tips; the rest must hold.
    assert score.color >= 0.98
    assert score.shape >= 0.95


def test_pictures_of_other_prompts_are_wrong(drawings):
    prompts = [prompt for prompt, _ in drawings]
    score = judge(zip(prompts[1:] + prompts[:1], (picture for _, picture in drawings), strict=True))
    # Chance: one in eight colours, one in six shapes.
    assert score.color < 0.25
    assert score.shape < 0.3
    assert score.scene < 0.02


def test_noise_shows_nothing():
    noise = np.random.default_rng(8).integers(0, 256, (128, 128, 3)).astype(np.uint8)
    assert all(region.shape == "unknown" for region in see(noise)[1])


def test_an_empty_picture_is_wrong():
    verdict = compare(np.full((128, 128, 3), 250, np.uint8), read_caption("a red circle"))
    assert verdict == Verdict(color=False, shape=False, scene=False)


def test_the_main_object_is_where_the_relation_puts_it():
    scene = Scene("white", Thing("star", "red"), relation="below", other=Thing("ring", "blue"))
    picture = draw(scene, np.random.default_rng(9))
    assert compare(picture, read_caption("a red star below a blue ring on a white background")).scene
    turned = compare(picture, read_caption("a red star above a blue ring on a white background"))
    assert turned == Verdict(color=False, shape=False, scene=False)


def test_larger_pictures_are_judged_alike():
    scene = Scene("gray", Thing("cross", "purple"), "small", "top")
    picture = draw(scene, np.random.default_rng(10)).repeat(2, axis=0).repeat(2, axis=1)
    assert compare(picture, read_caption(full_caption(scene))).scene


def test_a_float_picture_is_refused():
    with pytest.raises(ValueError, match="uint8"):
        see(np.zeros((8, 8, 3), np.float32))
