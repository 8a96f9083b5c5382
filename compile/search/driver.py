"""From a plan to the fastest or smallest mix of schemes that keeps the budget: the order of things."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise, product
from typing import Literal

from ... import __version__
from ...profiles.profile import Profile
from ...quantize.assign import Rule, full_settings
from ...quantize.front import Choice, Mix, front, thinned
from ...quantize.scheme import NONE
from ...runtime.errors import BadProfile, QualityMissed
from ...runtime.session import backend
from ..cache import Cache
from ..calibration import check_calls, record
from ..cases import read_cases
from ..onnx_source import OnnxSource
from ..plan import Plan, schemes_of
from ..quantized import QUANTIZE_FORMAT, QuantizedGraphs
from ..source import Source
from ..torch_source import TorchSource
from .blocks import Block, blocks_of
from .candidate import Kiln, Outcome, profile_of, unquantized
from .log import Log
from .trial import Bench, Measured

FORMAT = 1  # raise it when what is measured changes
DENOISER = "unet"
FINER = 3  # further candidates between the best that keeps the budget and the next that does not


@dataclass(frozen=True)
class Wishes:
    """What is looked for.

    objective: what is to be least.  components: whose blocks are tried; () for the denoiser.
    schemes: that blocks may get; () for all that the target runs.  single: every layer is a block of its own.
    candidates: how many mixes are compiled and judged by their pictures.
    """

    objective: Literal["time", "size"] = "time"
    components: tuple[str, ...] = ()
    schemes: tuple[str, ...] = ()
    single: bool = False
    candidates: int = 6


@dataclass(frozen=True)
class Doing:
    """What is about to be measured.  done, total: of the parts that take long; total 0 where that is not known yet."""

    done: int
    total: int
    label: str


@dataclass(frozen=True)
class Candidate:
    """One compiled mix.  missed: what of the budget it does not keep, empty where it keeps all."""

    name: str
    profile: Profile
    outcome: Outcome
    missed: str


@dataclass(frozen=True)
class Found:
    """The search's result.  chosen: the best candidate within the budget.  sensitivity: block -> scheme -> measured."""

    chosen: Candidate
    candidates: tuple[Candidate, ...]
    sensitivity: dict[str, dict[str, Measured]]


def search(plan: Plan, wishes: Wishes, cache: Cache) -> Generator[Doing, None, Found]:
    """Measure every block with every scheme, mix them, compile the best mixes, and choose one.

    Killed at any moment it goes on where it stopped.  Raises BadProfile for wishes that can't be, before anything slow;
    QualityMissed where not even the unquantized model keeps the budget.
    """
    schemes = _schemes(plan, wishes)
    blocks = _blocks(plan, wishes)
    check_calls(plan)
    source: Source = OnnxSource(plan, cache) if plan.checkpoint.is_onnx else TorchSource(plan, cache)
    for stage in source.stages:
        yield Doing(0, 0, f"record and export: {stage}")
        source.run(stage)
    yield Doing(0, 0, "calibrate")
    recording = record(plan, source, cache)
    graphs = QuantizedGraphs(source, plan.recipes, recording, cache)
    log = Log(cache, plan.checkpoint.name, {
        "model": plan.checkpoint.name, "recording": recording.key, "target": str(plan.target),
        "engine": backend(plan.verify_on).versions(), "machine": [platform.machine(), platform.processor()],
        "versions": [__version__, QUANTIZE_FORMAT, FORMAT],
    })  # fmt: skip
    sensitivity = yield from _sensitivity(plan, graphs, blocks, schemes, wishes.objective == "time", log)

    mixes = front({str(block): _choices(block, sensitivity[str(block)]) for block in blocks})
    kiln = Kiln(plan, cache, next(read_cases(recording.cases, DENOISER)), DENOISER)
    try:
        return (yield from _choose(plan, wishes, blocks, schemes, mixes, kiln, log, sensitivity))
    finally:
        kiln.close()


def _schemes(plan: Plan, wishes: Wishes) -> tuple[str, ...]:
    runs = schemes_of(plan.target)
    wrong = [scheme for scheme in wishes.schemes if scheme not in runs]
    if wrong:
        raise BadProfile(f"{plan.target} does not run {wrong[0]}; it runs {', '.join(runs)}")
    return wishes.schemes or runs


def _blocks(plan: Plan, wishes: Wishes) -> list[Block]:
    wanted = wishes.components or (DENOISER,)
    unknown = [name for name in wanted if name not in plan.assignments]
    if unknown:
        raise BadProfile(f"the model has no component {unknown[0]}; it has {', '.join(plan.assignments)}")
    found = []
    for name in wanted:
        found += blocks_of(name, (assignment.layer for assignment in plan.assignments[name]), wishes.single)
    if not found:
        raise BadProfile(f"no layer of {', '.join(wanted)} can be quantized")
    return found


def _sensitivity(
    plan: Plan, graphs: QuantizedGraphs, blocks: Sequence[Block], schemes: Sequence[str], timed: bool, log: Log
) -> Generator[Doing, None, dict[str, dict[str, Measured]]]:
    """Each block with each scheme."""
    found: dict[str, dict[str, Measured]] = {str(block): {} for block in blocks}
    left: dict[tuple[str, str], list[Block]] = {}
    for block, scheme in product(blocks, schemes):
        known = log.get(_trial_name(block, scheme, timed))
        if known is None:
            left.setdefault((block.component, scheme), []).append(block)
        else:
            found[str(block)][scheme] = Measured(**known)
    done, total = 0, sum(map(len, left.values()))
    for (component, scheme), waiting in left.items():
        yield Doing(done, total, f"{component} in {scheme}")
        part = next(part for part in plan.components if part.name == component)
        bench = Bench(plan, part, graphs, scheme, timed)
        try:
            for block in waiting:
                yield Doing(done, total, f"{block} in {scheme}")
                measured = bench.measure(block.pattern)
                log.add(_trial_name(block, scheme, timed), asdict(measured))
                found[str(block)][scheme] = measured
                done += 1
        finally:
            bench.close()
    return found


def _trial_name(block: Block, scheme: str, timed: bool) -> str:
    settings = json.dumps(dict(full_settings(scheme, {})), sort_keys=True)
    return f"{block} {scheme} {settings}" + (" timed" if timed else "")


def _choices(block: Block, measured: Mapping[str, Measured]) -> list[Choice]:
    """What the block may get, 16 bits of floats among it."""
    plain = 2 * block.parameters
    choices = [Choice(NONE, 0.0, 0.0)]
    for scheme, found in measured.items():
        cost = float(_bytes(block, scheme) - plain) if found.time_change is None else found.time_change
        choices.append(Choice(scheme, found.relative_error**2, cost))
    return choices


def _bytes(block: Block, scheme: str) -> int:
    from ...quantize.assign import assign

    sizes = (given.size_bytes for given in assign(block.layers, [], Rule(scheme)))
    return sum(2 * layer.parameters if size is None else size for layer, size in zip(block.layers, sizes, strict=True))


def _choose(
    plan: Plan, wishes: Wishes, blocks: Sequence[Block], schemes: Iterable[str], mixes: Sequence[Mix], kiln: Kiln,
    log: Log, sensitivity: dict[str, dict[str, Measured]],
) -> Generator[Doing, None, Found]:  # fmt: skip
    """Compile mixes along the front and the plain schemes, then closer to where the budget ends."""
    whole = {scheme: profile_of(plan.profile, scheme, dict.fromkeys(blocks, scheme)) for scheme in schemes}
    tried: dict[str, Candidate] = {}
    steps = {f"mix {index}": mix for index, mix in enumerate(mixes)}
    chosen = [name for name, mix in steps.items() if mix in thinned(mixes, wishes.candidates)]
    waiting = {NONE: unquantized(plan), **whole}
    for name in chosen:
        profile = _mixed(plan, name, steps[name], blocks)
        if not any(_alike(profile, known) for known in waiting.values()):
            waiting[name] = profile
    total = len(waiting) + FINER

    def fire(name: str, profile: Profile) -> None:
        what = "candidate " + hashlib.sha256(
            json.dumps([profile.precision, profile.quantize, [asdict(rule) for rule in profile.rules],
                        asdict(profile.verify), plan.profile.budget.judge is not None], sort_keys=True).encode()
        ).hexdigest()  # fmt: skip
        known = log.get(what)
        outcome = kiln.fire(profile) if known is None else Outcome(**known)
        if known is None:
            log.add(what, asdict(outcome))
        tried[name] = Candidate(name, profile, outcome, outcome.missed(plan.profile.budget))

    for name, profile in waiting.items():
        yield Doing(len(tried), total, f"compile and print: {name}")
        fire(name, profile)
    for _ in range(FINER):
        between = _between(list(steps), tried)
        if between is None:
            break
        yield Doing(len(tried), total, f"compile and print: {between}")
        fire(between, _mixed(plan, between, steps[between], blocks))

    kept = [candidate for candidate in tried.values() if not candidate.missed]
    if not kept:
        raise QualityMissed(
            f"not even the unquantized model keeps the budget: {tried[NONE].missed}; "
            "give it more steps, wider precisions in the profile, or a larger budget"
        )

    def cost(candidate: Candidate) -> float:
        outcome = candidate.outcome
        return outcome.time_ratio if wishes.objective == "time" else outcome.size_bytes

    return Found(min(kept, key=cost), tuple(sorted(tried.values(), key=cost)), sensitivity)


def _alike(one: Profile, other: Profile) -> bool:
    """Whether they quantize alike."""
    said = [{part: scheme for part, scheme in p.quantize.items() if scheme != NONE} for p in (one, other)]
    return said[0] == said[1] and one.rules == other.rules


def _between(names: Sequence[str], tried: Mapping[str, Candidate]) -> str | None:
    """The middle of the mixes between the farthest that keeps the budget and the next that was tried and does not."""
    known = [(index, not tried[name].missed) for index, name in enumerate(names) if name in tried]
    for (low, kept), (high, also) in pairwise(known):
        if kept and not also and high - low > 1:
            return names[(low + high) // 2]
    return None


def _mixed(plan: Plan, name: str, mix: Mix, blocks: Iterable[Block]) -> Profile:
    return profile_of(plan.profile, name, {block: mix.schemes[str(block)] for block in blocks})
