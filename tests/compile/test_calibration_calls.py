"""The user's calibration file, line by line, and the built-in calls of each kind of model."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from aquatint.compile.calibration_calls import KEYS, PROMPTS, built_in_calls, read_calls
from aquatint.compile.start_picture import start_picture
from aquatint.runtime.errors import BadProfile


def written(folder, *lines):
    file = folder / "prompts.txt"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_each_line_is_a_prompt(tmp_path):
    file = written(tmp_path, "a red bicycle", "  ein Mädchen, 水彩  ", '"a quoted one", with commas')
    assert read_calls(file) == [
        {"prompt": "a red bicycle"},
        {"prompt": "ein Mädchen, 水彩"},
        {"prompt": '"a quoted one", with commas'},
    ]


def test_comments_and_empty_lines_are_left_out(tmp_path):
    file = written(tmp_path, "# what we print", "", "a cat", "   ", "  # a dog", "a #1 fan")
    assert read_calls(file) == [{"prompt": "a cat"}, {"prompt": "a #1 fan"}]


def test_a_line_may_be_an_object_with_more_of_the_call(tmp_path):
    call = {"prompt": "a cat", "negative_prompt": "blurry", "seed": 3, "guidance_scale": 4.5, "height": 512}
    file = written(tmp_path, "a dog", json.dumps(call))
    assert read_calls(file) == [{"prompt": "a dog"}, call]


def test_files_of_any_editor_are_read(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeff# from an editor that marks its files\r\na cat\r\na dog".encode())
    assert [call["prompt"] for call in read_calls(file)] == ["a cat", "a dog"]


def test_pictures_lie_beside_the_file(tmp_path, monkeypatch):
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (4, 3), "red").save(tmp_path / "pictures" / "red.png")
    Image.new("L", (4, 3), 255).save(tmp_path / "mask.png")
    line = {"prompt": "a cat", "image": "pictures/red.png", "mask_image": "mask.png", "strength": 0.5}
    file = written(tmp_path, json.dumps(line))
    monkeypatch.chdir("/")
    (call,) = read_calls(file)
    assert (call["image"].size, call["image"].getpixel((0, 0))) == ((4, 3), (255, 0, 0))
    assert (call["mask_image"].mode, call["strength"]) == ("L", 0.5)


@pytest.mark.parametrize(
    "line, said",
    [
        ('{"prompt": "a cat", "size": 5, "cfg": 1}', "has cfg, size; known: prompt, negative_prompt, image"),
        ('{"prompt": "a cat"', "begins like a JSON object and is none: "),
        ('{"prompt": "a cat"} and more', "begins like a JSON object and is none: "),
        ("{" * 100_000, "begins like a JSON object and is none: "),
        ("{a|b} cat", "begins like a JSON object and is none: "),
        ("{}", "has no prompt"),
        ('{"prompt": ""}', "has no prompt"),
        ('{"prompt": "  "}', "has no prompt"),
        ('{"prompt": ["a cat"]}', "has no prompt"),
        ('{"prompt": null, "seed": 1}', "has no prompt"),
        ('{"prompt": "a cat", "image": "none.png"}', "can't read .*none.png: "),
        ('{"prompt": "a cat", "image": 5}', "can't read .*5: "),
        ('{"prompt": "a cat", "mask_image": "prompts.txt"}', "can't read .*prompts.txt: it is no picture"),
    ],
)
def test_a_bad_line_is_named_by_its_number(line, said, tmp_path):
    file = written(tmp_path, "# two good lines", "a dog", line)
    with pytest.raises(BadProfile, match=f"the calibration file .*prompts.txt, line 3:? {said}") as caught:
        read_calls(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("lines", [(), ("",), ("# only a comment", "   ")])
def test_a_file_without_a_prompt_is_refused(lines, tmp_path):
    with pytest.raises(BadProfile, match=r"the calibration file .*prompts\.txt has no prompt; write one in each line"):
        read_calls(written(tmp_path, *lines))


def test_a_file_that_can_not_be_read_is_refused_in_words(tmp_path):
    with pytest.raises(BadProfile, match=r"can't read the calibration file .*none\.txt: No such file"):
        read_calls(tmp_path / "none.txt")
    with pytest.raises(BadProfile, match="Is a directory"):
        read_calls(tmp_path)
    (tmp_path / "latin.txt").write_bytes("ein Mädchen".encode("latin-1"))
    with pytest.raises(BadProfile, match=r"latin\.txt: it is no UTF-8 text"):
        read_calls(tmp_path / "latin.txt")


def calls(images=3, prompts=(), **settings):
    anatomy = SimpleNamespace(settings={"inpainting": False, "image_to_image": False, **settings})
    return built_in_calls(SimpleNamespace(calibration_prompts=prompts), anatomy, images, 64, 96)


def test_a_usual_model_gets_the_built_in_prompts_at_its_size():
    assert calls() == [{"prompt": prompt, "height": 64, "width": 96} for prompt in PROMPTS[:3]]


def test_a_checkpoints_own_prompts_come_first_and_around_again():
    assert [call["prompt"] for call in calls(5, ("a", "b"))] == ["a", "b", "a", "b", "a"]
    assert len(calls(20)) == 20


def test_a_model_that_only_goes_on_gets_a_picture_to_start_from():
    for call in calls(image_to_image=True):
        assert np.array_equal(call["image"], start_picture(64, 96))
        assert 0 < call["strength"] < 1


def test_an_inpainting_model_paints_the_right_half_anew():
    for call in calls(inpainting=True, image_to_image=True):
        mask = np.asarray(call["mask_image"])
        assert np.array_equal(mask, np.repeat([[0, 255]], 48, 1).repeat(64, 0))
        assert call["image"].size == call["mask_image"].size == (96, 64)
        assert call["strength"] == 1


def test_every_call_has_keys_that_a_file_may_have_too():
    for settings in ({}, {"image_to_image": True}, {"inpainting": True}):
        for call in calls(**settings):
            assert set(call) <= set(KEYS)
