"""The best ways to share schemes out to blocks: least error for every cost, where both add up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """What one scheme does to one block.

    error: squared, of the component's output.  cost: what is to be small, such as bytes or time.
    """

    scheme: str
    error: float
    cost: float


@dataclass(frozen=True)
class Mix:
    """Block -> scheme, with the sums over the blocks."""

    schemes: dict[str, str]
    error: float
    cost: float


def front(options: Mapping[str, Sequence[Choice]]) -> list[Mix]:
    """From the least error to the least cost: every mix of the lower convex hull, each one block's choice further.

    Exact where errors of blocks add up, as they do for errors that are small and independent; mixes between two
    neighbours, which only integer programming finds, are left out.  Raises ValueError for a block without a choice.
    """
    hulls = {block: _hull(choices) for block, choices in options.items()}
    at = dict.fromkeys(options, 0)
    moves = sorted(
        (_slope(hull[step], hull[step + 1]), block, step)
        for block, hull in hulls.items()
        for step in range(len(hull) - 1)
    )
    mixes = [_mix(hulls, at)]
    for _, block, step in moves:  # slopes rise along a hull, so a block's moves come in their order
        at[block] = step + 1
        mixes.append(_mix(hulls, at))
    return mixes


def thinned(mixes: Sequence[Mix], count: int) -> list[Mix]:
    """At most `count` of them, evenly spaced in cost, both ends among them."""
    if len(mixes) <= count:
        return list(mixes)
    first, last = mixes[0].cost, mixes[-1].cost
    wanted = [first + (last - first) * index / (count - 1) for index in range(count)]
    chosen = {min(range(len(mixes)), key=lambda i: abs(mixes[i].cost - cost)) for cost in wanted}
    return [mixes[index] for index in sorted(chosen)]


def _hull(choices: Sequence[Choice]) -> list[Choice]:
    """The choices on the lower convex hull, error rising and cost falling."""
    if not choices:
        raise ValueError("a block has no choice")
    best: list[Choice] = []
    for choice in sorted(choices, key=lambda choice: (choice.error, choice.cost)):
        if best and choice.cost >= best[-1].cost:
            continue
        while len(best) > 1 and _slope(best[-2], choice) <= _slope(best[-2], best[-1]):
            best.pop()
        best.append(choice)
    return best


def _slope(dear: Choice, cheap: Choice) -> float:
    """Error that is paid for one unit of cost."""
    return (cheap.error - dear.error) / (dear.cost - cheap.cost)


def _mix(hulls: Mapping[str, Sequence[Choice]], at: Mapping[str, int]) -> Mix:
    chosen = {block: hull[at[block]] for block, hull in hulls.items()}
    return Mix(
        {block: choice.scheme for block, choice in chosen.items()},
        sum(choice.error for choice in chosen.values()),
        sum(choice.cost for choice in chosen.values()),
    )
