"""A profile as tables, the most time first."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from .profile import Operator, Profile

_NUMBER = re.compile(r"\.\d+")


@dataclass(frozen=True)
class Row:
    """labels: as the table's head says.  share: of all operators' seconds.  cumulative: with the rows above."""

    labels: tuple[str, ...]
    calls: int
    seconds: float
    share: float
    cumulative: float


@dataclass(frozen=True)
class Table:
    """head: what the labels are."""

    head: tuple[str, ...]
    rows: tuple[Row, ...]


def by_kind(profile: Profile) -> Table:
    """What each kind of operator takes in each component, in each precision."""
    return _table(profile, ("component", "operator", "precision"), lambda o: (o.component, o.kind, o.precision or "-"))


def by_block(profile: Profile, depth: int = 2, numbers: bool = True) -> Table:
    """What each block takes.  depth: levels below the component; operators further out stand with their own block.

    numbers: False has down_blocks.0 and down_blocks.1 count together.
    Raises ValueError for a depth below 1.
    """
    if depth < 1:
        raise ValueError(f"depth {depth}: want 1 or more levels of blocks")

    def labels(operator: Operator) -> tuple[str, ...]:
        block = "/".join(operator.block[:depth]) or "-"
        return operator.component, block if numbers else _NUMBER.sub("", block)

    return _table(profile, ("component", "block"), labels)


def slowest(profile: Profile, count: int = 20) -> Table:
    """The operators that take the most time, each for itself."""

    def labels(operator: Operator) -> tuple[str, ...]:
        block = "/".join(operator.block) or "-"
        return operator.component, block, operator.kind, operator.precision or "-", operator.name

    table = _table(profile, ("component", "block", "operator", "precision", "engine's name"), labels)
    return Table(table.head, table.rows[:count])


def explained(profile: Profile) -> Table:
    """What each component takes as it was waited for; share: of all components; cumulative: with the rows above.

    The last label is how much of it the component's operators explain.
    """
    total, above, rows = sum(profile.measured.values()) or 1.0, 0.0, []
    for component, seconds in sorted(profile.measured.items(), key=lambda pair: -pair[1]):
        inside = [operator for operator in profile.operators if operator.component == component]
        part = sum(operator.seconds for operator in inside) / (seconds or 1.0)
        above += seconds
        calls = max((operator.calls for operator in inside), default=0)
        rows.append(Row((component, f"{100 * part:.0f} %"), calls, seconds, seconds / total, above / total))
    return Table(("component", "in operators"), tuple(rows))


def texts(table: Table) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Rows and head, for terminal.table."""
    rows = [
        (*row.labels, str(row.calls), _ms(row.seconds), f"{100 * row.share:.1f} %",
         f"{100 * row.cumulative:.1f} %")
        for row in table.rows
    ]  # fmt: skip
    return rows, (*table.head, "calls", "ms", "share", "cumulative")


def _table(profile: Profile, head: tuple[str, ...], labels: Callable[[Operator], tuple[str, ...]]) -> Table:
    calls: dict[tuple[str, ...], int] = {}
    seconds: dict[tuple[str, ...], float] = {}
    for operator in profile.operators:
        key = labels(operator)
        calls[key] = calls.get(key, 0) + operator.calls
        seconds[key] = seconds.get(key, 0.0) + operator.seconds
    total, above, rows = profile.seconds or 1.0, 0.0, []
    for key in sorted(seconds, key=lambda key: (-seconds[key], key)):
        above += seconds[key]
        rows.append(Row(key, calls[key], seconds[key], seconds[key] / total, above / total))
    return Table(head, tuple(rows))


def _ms(seconds: float) -> str:
    return f"{1e3 * seconds:.3g}" if seconds < 0.1 else f"{1e3 * seconds:.0f}"
