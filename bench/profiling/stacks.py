"""A profile as a tree: components, their blocks from the outside in, and kinds of operators at the ends."""

from __future__ import annotations

from dataclasses import dataclass, field

from .profile import Operator, Profile


@dataclass
class Frame:
    """A block, or a kind of operator within one.  kind: only of the latter.  seconds: with all that is inside."""

    name: str
    kind: str | None = None
    seconds: float = 0.0
    inside: dict[tuple[bool, str], Frame] = field(default_factory=dict)

    def enter(self, name: str, seconds: float, ends: bool = False) -> Frame:
        """The frame of that name inside this one, with the seconds added."""
        # A block may be called as an operator is.
        frame = self.inside.setdefault((ends, name), Frame(name, name if ends else None))
        frame.seconds += seconds
        return frame

    def main_kind(self) -> str:
        """The kind of operator that takes the most of it."""
        kinds: dict[str, float] = {}
        self._count(kinds)
        return max(kinds, key=lambda kind: kinds[kind], default="")

    def _count(self, kinds: dict[str, float]) -> None:
        if self.kind is not None:
            kinds[self.kind] = kinds.get(self.kind, 0.0) + self.seconds
        for frame in self.inside.values():
            frame._count(kinds)


def stack(profile: Profile, depth: int | None = None) -> Frame:
    """The whole picture, with the components inside.  depth: the most levels of blocks below a component.

    Blocks stand in the order in which they run.
    """
    root = Frame("picture")
    for operator in profile.operators:
        root.seconds += operator.seconds
        frame = root
        for name in _levels(operator, depth):
            frame = frame.enter(name, operator.seconds)
        frame.enter(operator.kind, operator.seconds, ends=True)
    return root


def collapsed(profile: Profile) -> str:
    """A line for each stack, "unet;mid_block;resnets.0;conv1;convolution 1234", in whole microseconds.

    speedscope.app and flamegraph.pl read it.  Source: Brendan Gregg's stackcollapse scripts.
    """
    sums: dict[str, float] = {}
    for operator in profile.operators:
        line = ";".join((*_levels(operator, None), operator.kind))
        sums[line] = sums.get(line, 0.0) + operator.seconds
    return "".join(f"{line} {round(1e6 * seconds)}\n" for line, seconds in sums.items() if round(1e6 * seconds))


def _levels(operator: Operator, depth: int | None) -> tuple[str, ...]:
    return operator.component, *operator.block[:depth]
