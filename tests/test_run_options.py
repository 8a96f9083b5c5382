"""The options of `aquatint run`: their words, and the help that lists them."""

from dataclasses import fields

import click
import pytest
from click.testing import CliRunner

from aquatint.cli import cli
from aquatint.run_options import HEADINGS, RunCommand, run_options
from aquatint.runtime.request import Request

OURS = {"output", "like"}


def said(*words):
    """What a command with these options is given; nothing that the user left out."""
    found = {}
    command = RunCommand("run", params=run_options(), callback=lambda **values: found.update(values))
    result = CliRunner().invoke(command, [str(word) for word in words])
    return {name: value for name, value in found.items() if value is not None}, result


def test_every_argument_of_a_call_is_an_option():
    assert {option.name for option in run_options()} == {field.name for field in fields(Request)} - {"prompt"} | OURS


def test_where_nothing_is_said_nothing_is_asked():
    assert said()[0] == {}


@pytest.mark.parametrize(
    "words, expected",
    [
        (("--seed", "7"), {"seed": 7}),
        (("--seed", "-7"), {"seed": -7}),
        (("--seed", "1,2,3"), {"seed": [1, 2, 3]}),
        (("--timesteps", "999,500.5,1"), {"timesteps": (999.0, 500.5, 1.0)}),
        (("--original-size", "1024x768"), {"original_size": (1024, 768)}),
        (("--crops-coords-top-left", "0,-64"), {"crops_coords_top_left": (0, -64)}),
        (("--vae-tiling",), {"vae_tiling": True}),
        (("--no-vae-tiling",), {"vae_tiling": False}),
        (("--batch", "2", "-s", "3", "-g", "0"), {"num_images_per_prompt": 2, "num_inference_steps": 3,
                                                  "guidance_scale": 0.0}),
    ],
)  # fmt: skip
def test_words_become_what_a_call_takes(words, expected):
    assert said(*words)[0] == expected


@pytest.mark.parametrize(
    "words",
    [("--seed", "x"), ("--seed", "1,"), ("--timesteps", "1;2"), ("--original-size", "1024"), ("--target-size", "8x8x8"),
     ("--crops-coords-top-left", "0x0"), ("--generator", "mps")],
)  # fmt: skip
def test_other_words_are_refused_with_what_would_be_right(words):
    found, result = said(*words)
    assert (found, result.exit_code) == ({}, 2)
    assert f"Invalid value for '{words[0]}'" in result.output


def test_the_help_lists_each_option_once_under_its_heading():
    text = CliRunner().invoke(cli, ["run", "--help"], terminal_width=100).output
    places = [text.index(f"\n{heading}:\n") for heading in HEADINGS]
    assert places == sorted(places)
    sections = dict(zip(HEADINGS, (text[start:end] for start, end in zip(places, [*places[1:], len(text)]))))
    for heading, options in HEADINGS.items():
        for option in options:
            assert f" {option.opts[-1]}" in sections[heading]
    assert "  --low-memory" in text[text.index("The machine") :]
    assert "\n  [BUNDLE]" not in text


def test_options_that_no_table_lists_stand_under_the_last_heading():
    extra = click.Option(["--extra"], help="More.")
    text = CliRunner().invoke(RunCommand("run", params=[*run_options(), extra]), ["--help"]).output
    assert text.index("--extra") > text.index("The machine")
