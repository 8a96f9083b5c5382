"""The whole measurement of some subjects, from their loads to their pictures: the order in which things are done."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...runtime.bundle import open_bundle
from ..comparison_trial import Job
from ..profiling.profile import Profile, profile_picture
from ..roofline.count import count
from ..roofline.peaks import Peaks, measure_peaks
from ..roofline.work import Work
from .call import LEAST_STEPS, Call
from .floors import find_floor
from .foreign_load import ForeignLoad, LoadWatch
from .measured import Load, Loads, Measured, Point, Quality, Run
from .memory_floor import MemoryFloor
from .memory_limit import Kind, Limit
from .order import Order
from .page_cache import drop_cached
from .patience import Patience
from .quality import Gallery, view
from .rounds import Doing, take_turns
from .subject import Refused, Subject, WorkerFailed
from .vram import Meter

Doings = Generator[Doing, None, None]


@dataclass(frozen=True)
class Wish:
    """What is measured beside the times of the calls.

    loads: how often each subject is loaded cold, and warm.  gallery: None for no quality.
    floor: by which limit the least memory is looked for; None: it is not.  limit: of every subject's memory.
    meter: of the GPU that subjects use.
    """

    patience: Patience
    loads: int = 1
    gallery: Gallery | None = None
    floor: Kind | None = None
    limit: Limit | None = None
    meter: Meter | None = None
    roofline: bool = False
    profile: bool = False


@dataclass
class _Found:
    """Of one subject, as it grows."""

    subject: Subject
    cold: list[Load] = field(default_factory=list)
    warm: list[Load] = field(default_factory=list)
    device_bytes: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, dict[str, tuple[int, ...]]] = field(default_factory=dict)
    quality: Quality | None = None
    floor: MemoryFloor | None = None
    work: dict[str, Work] = field(default_factory=dict)
    profile: Profile | None = None
    failed: str | None = None

    def measured(self) -> Measured:
        of = self.subject
        loads = Loads(tuple(self.cold), tuple(self.warm)) if self.warm else None
        return Measured(
            of.order, of.opened, loads, of.first_picture_s, of.memory, of.vram, self.device_bytes, self.floor,
            self.quality, self.work, self.profile, self.failed,
        )  # fmt: skip


def measure(orders: Sequence[Order], calls: Sequence[Call], wish: Wish) -> Generator[Doing, None, Run]:
    """The first call by all in turns until the times are known, then the others, then what else is wished for.

    What fails is left out, and says why.  Ctrl-C ends it with what there is, once there is a picture that counts.
    Raises WorkerFailed where nothing could be opened.
    """
    found = [_Found(Subject(order, calls[0], wish.limit, wish.meter)) for order in orders]
    points: list[Point] = []
    peaks: Peaks | None = None
    if wish.roofline:
        peaks = yield from _peaks(orders[0])
    load: ForeignLoad | None = None
    stopped = False
    try:
        with contextlib.ExitStack() as stack:
            yield from _load(found, calls[0], wish)
            for one in found:
                stack.enter_context(one.subject)
            yield from _open(found)
            watch = LoadWatch([one.subject.pid for one in found if one.subject.failed is None])
            watch.start()
            for call in calls:
                stopped = stopped or (yield from _point(found, call, wish.patience, points))
            load = watch.stop()  # before the processes end, or what they did is taken for others'
            if not stopped:
                yield from _look(found, calls[0], wish)
        if not stopped:
            yield from _alone(found, calls[0], wish)
    except KeyboardInterrupt:
        if load is None:
            raise
        stopped = True
    assert load is not None
    return Run(tuple(one.measured() for one in found), tuple(points), load, peaks, stopped)


def _peaks(order: Order) -> Generator[Doing, None, Peaks]:
    work = measure_peaks((order.device or "cpu").upper(), order.threads)
    while True:
        try:
            label = next(work)
        except StopIteration as end:
            peaks: Peaks = end.value
            return peaks
        yield Doing(f"this machine's peaks: {label}")


def _load(found: Sequence[_Found], first: Call, wish: Wish) -> Doings:
    """In turns too.  The last warm load is that of the process which stays."""
    for number in range(wish.loads):
        for one in found:
            if one.failed is None and drop_cached(Path(one.subject.order.folder)):
                yield Doing(f"{one.subject.order.name}: loading, cold")
                _load_once(one, first, wish, one.cold)
        for one in found if number + 1 < wish.loads else []:
            if one.failed is None:
                yield Doing(f"{one.subject.order.name}: loading, warm")
                _load_once(one, first, wish, one.warm)


def _load_once(one: _Found, first: Call, wish: Wish, into: list[Load]) -> None:
    with Subject(one.subject.order, first, wish.limit) as subject:
        try:
            into.append(subject.open())
        except WorkerFailed as reason:
            one.failed = str(reason)


def _open(found: Sequence[_Found]) -> Doings:
    for one in found:
        # One after the other: loading beside each other would tell nothing of how long each takes.
        if one.failed is None:
            yield Doing(f"{one.subject.order.name}: loading")
            try:
                one.warm.append(one.subject.open())
            except WorkerFailed as reason:
                one.failed = str(reason)
        one.subject.failed = one.failed
    if all(one.failed for one in found):
        raise WorkerFailed("; ".join(one.failed for one in found if one.failed))


def _point(
    found: Sequence[_Found], call: Call, patience: Patience, points: list[Point]
) -> Generator[Doing, None, bool]:
    """One more point; whether it was the last by Ctrl-C."""
    if points:
        patience = replace(patience, minutes=None)
        yield from _revive(found, call, points)
    subjects = [one.subject for one in found]
    before = points[-1].call if points else None
    new = before is None or (before.images, before.height, before.width) != (call.images, call.height, call.width)
    settle = Subject.settle if before is None else None
    point, stopped = yield from take_turns(subjects, call, patience, warm_up=new, settled=settle)
    points.append(point)
    if before is None:
        for one in found:
            one.failed = one.subject.failed
    return stopped


def _revive(found: Sequence[_Found], call: Call, points: Sequence[Point]) -> Doings:
    """Begin anew what a call was too much for, where this one is smaller."""
    for index, one in enumerate(found):
        if one.failed is not None or one.subject.failed is None:
            continue
        fatal = [
            p.call.pixels for p in points if p.series[index].skipped and one.subject.failed == p.series[index].skipped
        ]
        if fatal and call.pixels < min(fatal):
            yield Doing(f"{one.subject.order.name}: loading again")
            with contextlib.suppress(WorkerFailed):
                one.subject.open()


def _look(found: Sequence[_Found], call: Call, wish: Wish) -> Doings:
    """What the open processes tell beside their times."""
    brief = replace(call, steps=min(call.steps, LEAST_STEPS))
    for one in found:
        if one.subject.failed is None and one.subject.order.kind == "bundle":
            yield Doing(f"{one.subject.order.name}: memory of its stages")
            with contextlib.suppress(WorkerFailed, Refused):
                one.device_bytes = one.subject.device_memory()
                one.subject.take_stages(brief)
                one.shapes = one.subject.shapes()
    if wish.gallery is not None:
        qualities = yield from view([one.subject for one in found], wish.gallery)
        for one, quality in zip(found, qualities, strict=True):
            one.quality = quality


def _alone(found: Sequence[_Found], call: Call, wish: Wish) -> Doings:
    """What needs the machine for one subject at a time, once all the others have ended."""
    for one in found:
        order, of = one.subject.order, one.subject
        if one.failed is not None:
            continue
        if wish.floor is not None and of.memory is not None and of.memory.peak and of.first_picture_s:
            one.floor = yield from find_floor(order, call, wish.floor, of.memory.peak, of.first_picture_s)
        if order.kind != "bundle":
            continue
        if wish.roofline:
            yield Doing(f"{order.name}: counting its work")
            bundle = open_bundle(order.folder, device=order.device)
            counted = {name: count(bundle, name, shapes) for name, shapes in one.shapes.items()}
            one.work = {name: work for name, work in counted.items() if work is not None}
        if wish.profile:
            yield Doing(f"{order.name}: time of every operator")
            job = Job(order.folder, (call.prompt,), call.seed, call.steps, call.guidance_scale, call.scheduler)
            one.profile = profile_picture(job, order.device, order.threads)
