"""Bundles of one model side by side: size, time, memory and pictures, measured in rounds and held against the first."""

from __future__ import annotations

import logging
import statistics
import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from .comparison_figures import Comparison, entry_of, likeness
from .comparison_plan import Ask, Plan, make_plan
from .comparison_process import Failed, run_process
from .comparison_trial import Job, Trial, picture_file

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Progress:
    """Something was done.  done, total: parts of the whole work."""

    done: int
    total: int
    label: str


def compare(folders: Sequence[Path], ask: Ask) -> Generator[Progress, None, Comparison]:
    """Yield as the work goes on; returns what was found.

    Each round opens every bundle once, in a process of its own and one at a time: A B C, A B C.  The first round makes
    all pictures, the others one each.  A bundle that fails is left out of what follows and says why.
    Raises BadRequest, BundleCorrupt, BundleTooNew, TargetMismatch, MissingPackage before anything is measured.
    """
    yield Progress(0, 1, "checking the bundles")
    plan = make_plan(folders, ask)
    found: list[list[Trial]] = [[] for _ in plan.bundles]
    pictures: list[tuple[Image.Image, ...]] = [() for _ in plan.bundles]
    failed: list[str | None] = [None for _ in plan.bundles]
    done, total = 0, sum(plan.parts(number) for number in range(ask.rounds)) * len(plan.bundles)
    for number in range(ask.rounds):
        for index, name in enumerate(plan.names):
            label = f"{name}, round {number + 1} of {ask.rounds}"
            yield Progress(done, total, label)
            if failed[index] is None:
                job = _job(plan, index, number)
                with tempfile.TemporaryDirectory(prefix="aquatint-") as scratch:
                    trial = yield from _watched(job, Path(scratch), Progress(done, total, label))
                    if isinstance(trial, Failed):
                        failed[index] = trial.reason
                    else:
                        found[index].append(trial)
                        pictures[index] = pictures[index] or _read_pictures(Path(scratch), len(job.prompts))
                _log(label, trial)
            done += plan.parts(number)
    entries = tuple(
        entry_of(plan, index, found, likeness(pictures[index], pictures[0]) if index else None, failed[index])
        for index in range(len(plan.bundles))
    )
    manifest = plan.bundles[0].manifest
    size = manifest.shapes.default_size
    return Comparison(
        manifest.model.name, plan.machine, plan.prompts, ask.seed, plan.steps, ask.rounds, size, entries,
        tuple(pictures),
    )  # fmt: skip


def _job(plan: Plan, index: int, number: int) -> Job:
    job = replace(plan.job, bundle=str(plan.bundles[index].folder.resolve()))
    # Pictures and the judge's verdict are the same in every round; time and memory are not.
    return job if number == 0 else replace(job, prompts=job.prompts[:1], judge=False)


def _watched(job: Job, scratch: Path, before: Progress) -> Generator[Progress, None, Trial | Failed]:
    work = run_process(job, scratch)
    done = before.done
    while True:
        try:
            next(work)
        except StopIteration as end:
            trial: Trial | Failed = end.value
            return trial
        done += 1
        yield replace(before, done=min(done, before.total))


def _read_pictures(scratch: Path, count: int) -> tuple[Image.Image, ...]:
    found = []
    for index in range(count):
        with Image.open(scratch / picture_file(index)) as picture:
            found.append(picture.convert("RGB"))
    return tuple(found)


def _log(label: str, trial: Trial | Failed) -> None:
    if isinstance(trial, Failed):
        log.info("%s: failed: %s", label, trial.reason)
    else:
        step_ms = 1e3 * statistics.median(trial.step_s)
        log.info("%s: loaded in %.2f s, %.4g ms a step", label, trial.load_s, step_ms)
