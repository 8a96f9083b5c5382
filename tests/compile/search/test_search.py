"""A whole search on a tiny model: measured, chosen, written, and taken up again."""

from dataclasses import replace

import pytest

from aquatint.compile.cache import Cache
from aquatint.compile.checkpoint import find_checkpoint
from aquatint.compile.plan import make_plan
from aquatint.compile.search.driver import Wishes, search
from aquatint.profiles.budget import Budget
from aquatint.profiles.profile import Calibration, read_profile
from aquatint.profiles.write import write_profile
from aquatint.runtime.errors import BadProfile, QualityMissed

CALIBRATION = Calibration(images=1, steps=2, rows=8)
WISHES = Wishes(objective="size", schemes=("int8-weights", "int4"), candidates=3)


@pytest.fixture
def plan_of(workshop, tmp_path):
    def make(budget):
        profile = replace(read_profile("exact"), budget=budget, calibration=CALIBRATION)
        found = find_checkpoint(
            str(workshop.checkpoint("tiny-sd")), revision=None, variant=None, config=None, work=workshop.cache
        )
        return make_plan(found, "ort:cpu", profile, output=tmp_path / "never")

    return make


def finish(work, stop_at=None):
    """The result, and the labels of what was done; stop_at: how many parts are begun before the search is dropped."""
    labels = []
    while True:
        try:
            labels.append(next(work).label)
        except StopIteration as stop:
            return stop.value, labels
        if len(labels) == stop_at:
            work.close()
            return None, labels


def test_a_search_goes_on_after_a_kill_and_its_profile_keeps_the_budget(workshop, plan_of, tmp_path):
    plan = plan_of(Budget(0.5, 20.0))
    cache = Cache(workshop.cache)
    _, before = finish(search(plan, WISHES, cache), stop_at=12)
    found, after = finish(search(plan, WISHES, cache))
    measured = [label for label in before if label.startswith("unet ")][:-1]  # the last one was not finished
    assert measured
    assert not [label for label in after if label in measured and not label.startswith("unet in ")]

    outcomes = {candidate.name: candidate.outcome for candidate in found.candidates}
    assert {"none", "int8-weights", "int4"} < set(outcomes)
    kept = [candidate for candidate in found.candidates if not candidate.missed]
    assert found.chosen.outcome.size_bytes == min(candidate.outcome.size_bytes for candidate in kept)
    assert found.chosen.outcome.size_bytes < outcomes["none"].size_bytes

    file = tmp_path / "found.toml"
    write_profile(found.chosen.profile, file, "for a test")
    written = read_profile(str(file))
    assert written.rules == found.chosen.profile.rules
    assert written.budget == plan.profile.budget
    workshop.compile(workshop.checkpoint("tiny-sd"), "ort:cpu", written, tmp_path / "bundle")


def test_a_budget_that_nothing_keeps_is_said(workshop, plan_of):
    plan = plan_of(Budget(1e-12, 20.0))
    with pytest.raises(QualityMissed, match="not even the unquantized model keeps the budget: relative error"):
        finish(search(plan, WISHES, Cache(workshop.cache)))


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (Wishes(schemes=("int5",)), "does not run int5; it runs int8-weights"),
        (Wishes(components=("unett",)), "no component unett; it has text_encoder, unet"),
    ],
)
def test_wishes_that_can_not_be_are_refused_at_once(wishes, words, workshop, plan_of):
    with pytest.raises(BadProfile, match=words):
        next(search(plan_of(Budget(0.5, 20.0)), wishes, Cache(workshop.cache)))
