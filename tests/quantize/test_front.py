"""The front of mixes, against all mixes that there are."""

from itertools import product

import numpy as np
import pytest

from aquatint.quantize.front import Choice, Mix, front, thinned


def random_options(seed, blocks=4, schemes=4):
    rng = np.random.default_rng(seed)
    return {
        f"block {b}": [
            Choice("none", 0.0, 0.0),
            *(Choice(f"scheme {s}", float(rng.random()), float(-rng.random())) for s in range(schemes - 1)),
        ]
        for b in range(blocks)
    }


def every_mix(options):
    for chosen in product(*options.values()):
        yield sum(choice.error for choice in chosen), sum(choice.cost for choice in chosen)


@pytest.mark.parametrize("seed", range(5))
def test_no_mix_lies_below_the_front(seed):
    options = random_options(seed)
    points = [(mix.error, mix.cost) for mix in front(options)]
    assert points == sorted(points)
    for error, cost in every_mix(options):
        for weight in (0.01, 0.1, 1.0, 10.0):  # a straight line that touches the hull from below
            assert error + weight * cost >= min(e + weight * c for e, c in points) - 1e-12


def test_it_goes_from_the_least_error_to_the_least_cost_and_its_sums_are_true():
    options = random_options(7)
    mixes = front(options)
    assert mixes[0].error == min(error for error, _ in every_mix(options))
    assert mixes[-1].cost == pytest.approx(min(cost for _, cost in every_mix(options)))
    for mix in mixes:
        chosen = [next(c for c in options[block] if c.scheme == scheme) for block, scheme in mix.schemes.items()]
        assert mix.error == pytest.approx(sum(choice.error for choice in chosen))
        assert mix.cost == pytest.approx(sum(choice.cost for choice in chosen))


def test_what_saves_nothing_is_never_chosen():
    options = {"a": [Choice("none", 0.0, 0.0), Choice("slower", 0.1, 0.2), Choice("alike", 0.2, 0.0)]}
    assert front(options) == [Mix({"a": "none"}, 0.0, 0.0)]


def test_a_block_without_a_choice_is_refused():
    with pytest.raises(ValueError, match="no choice"):
        front({"a": []})


def test_thinning_keeps_both_ends_and_spreads_the_rest():
    mixes = [Mix({}, float(i), -float(i)) for i in range(11)]
    assert [mix.cost for mix in thinned(mixes, 3)] == [0.0, -5.0, -10.0]
    assert thinned(mixes, 20) == mixes
