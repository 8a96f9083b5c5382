"""Extensions found by the names of their files."""

import sys

import pytest

from aquatint.runtime.errors import UnknownName
from aquatint.runtime.lookup import find, names

SCHEDULERS = "aquatint.runtime.schedulers"


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A package with the modules two_words and broken, which fails where it is imported."""
    package = tmp_path / "lookup_plugins"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "two_words.py").write_text("HERE = True\n")
    (package / "broken.py").write_text("raise RuntimeError('imported')\n")
    (package / "notes.txt").touch()
    monkeypatch.syspath_prepend(tmp_path)
    yield package.name
    for module in [name for name in sys.modules if name.startswith(package.name)]:
        del sys.modules[module]


def test_names_are_the_modules_sorted_and_none_is_imported(plugins):
    assert names(plugins) == ("broken", "two_words")


def test_a_hyphen_may_stand_for_an_underscore(plugins):
    assert find(plugins, "two-words", "plugin").HERE
    assert find(plugins, "two_words", "plugin").HERE


@pytest.mark.parametrize("name", ["euler2", "", "Euler", "../euler", "euler.py", "__init__"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(UnknownName, match=r"^unknown scheduler '.*'; known: ddim, .*euler, .*lcm") as caught:
        find(SCHEDULERS, name, "scheduler")
    assert repr(name) in str(caught.value)


def test_a_module_that_fails_keeps_its_own_error(plugins):
    with pytest.raises(RuntimeError, match="imported"):
        find(plugins, "broken", "plugin")
