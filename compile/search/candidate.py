"""A whole model by one mix of schemes: its profile, and what its compile measures."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...profiles.profile import Budget, Profile, QuantizeRule
from ...quantize.scheme import NONE
from ...runtime.bundle import open_bundle
from ...runtime.manifest import Manifest
from ...runtime.session import EngineOptions
from ..cache import Cache
from ..cases import Case
from ..driver import compile_bundle
from ..plan import Plan, make_plan
from .blocks import Block
from .trial import paired_ratios

LENIENT = Budget(relative_error=1e9, psnr_db=0.0)


@dataclass(frozen=True)
class Outcome:
    """What a compiled mix is like; pictures and outputs against the checkpoint's own, the worst of each.

    size_bytes: of the bundle.  time_ratio: of a denoiser's call against the profile without quantization.
    lost: of the judge's prompts.
    """

    size_bytes: int
    time_ratio: float
    relative_error: float
    psnr_db: float
    ssim: float | None
    latent_distance: float | None
    lost: int | None

    def missed(self, budget: Budget) -> str:
        """What of the budget is not kept, in words; empty where all is."""
        words = []
        if self.relative_error > budget.relative_error:
            words.append(f"relative error {self.relative_error:.3g} over {budget.relative_error:g}")
        if self.psnr_db < budget.psnr_db:
            words.append(f"{self.psnr_db:.1f} dB under {budget.psnr_db:g}")
        if budget.ssim is not None and (self.ssim or 0) < budget.ssim:
            words.append(f"SSIM {self.ssim:.3f} under {budget.ssim:g}")
        if budget.latent_distance is not None and (self.latent_distance or 0) > budget.latent_distance:
            words.append(f"latent distance {self.latent_distance:.3f} over {budget.latent_distance:g}")
        if budget.judge is not None and (self.lost or 0) > budget.judge:
            words.append(f"{self.lost} prompts lost, not {budget.judge}")
        return ", ".join(words)


def profile_of(base: Profile, name: str, schemes: Mapping[Block, str]) -> Profile:
    """The profile that gives each block its scheme; components that are not among them keep theirs.

    A component whose blocks are all alike gets one word, another one rule for each block that is not float.
    """
    quantize, rules = dict(base.quantize), []
    for component in dict.fromkeys(block.component for block in schemes):
        mine = {block: scheme for block, scheme in schemes.items() if block.component == component}
        alike = set(mine.values())
        quantize[component] = alike.pop() if len(alike) == 1 else NONE
        if quantize[component] == NONE:
            rules += [
                QuantizeRule(scheme, layers=block.pattern, component=component)
                for block, scheme in mine.items()
                if scheme != NONE
            ]
    return replace(base, name=name, quantize=quantize, rules=tuple(rules))


def unquantized(plan: Plan) -> Profile:
    """The plan's profile with all layers left in floats."""
    return replace(plan.profile, quantize={}, rules=())


class Kiln:
    """Compiles profiles of one plan into throwaway bundles and measures them; pieces stay in the cache."""

    def __init__(self, plan: Plan, cache: Cache, case: Case, denoiser: str) -> None:
        self._plan = plan
        self._cache = cache
        self._case = case
        self._denoiser = denoiser
        self._work = tempfile.TemporaryDirectory(prefix="aquatint-search-")
        self._float: Path | None = None

    def fire(self, profile: Profile) -> Outcome:
        """Compile a profile whatever its quality, and measure it."""
        if self._float is None:
            self._float = self._compile(unquantized(self._plan), "float")
        folder = self._compile(profile, "mix")
        manifest, ratio = self._time(folder)
        shutil.rmtree(folder)
        return _outcome(manifest, ratio)

    def close(self) -> None:
        """Give the disk back."""
        self._work.cleanup()

    def _compile(self, profile: Profile, name: str) -> Path:
        plan, judged = self._plan, self._plan.profile.budget.judge is not None
        lenient = replace(LENIENT, judge=200 if judged else None)
        made = make_plan(
            plan.checkpoint, str(plan.target), replace(profile, budget=lenient), output=Path(self._work.name) / name
        )
        stages = compile_bundle(made, self._cache)
        while True:
            try:
                next(stages)
            except StopIteration as stop:
                folder: Path = stop.value
                return folder

    def _time(self, folder: Path) -> tuple[Manifest, float]:
        assert self._float is not None
        options = EngineOptions()
        bundles = [
            open_bundle(place, device=self._plan.verify_on.device, options=options) for place in (self._float, folder)
        ]
        try:
            reference, session = (bundle.session(self._denoiser) for bundle in bundles)
            for warm in (reference, session):
                warm.run(self._case.feeds)
            ratio, _ = paired_ratios(reference, session, self._case)
            return bundles[1].manifest, ratio
        finally:
            for bundle in bundles:
                bundle.close()


def _outcome(manifest: Manifest, ratio: float) -> Outcome:
    checked = manifest.verification
    goldens = checked.goldens
    return Outcome(
        size_bytes=sum(file.size_bytes for file in manifest.files.values()),
        time_ratio=ratio,
        relative_error=max(part.quality.get("relative_error", 0.0) for part in manifest.components),
        psnr_db=min(golden.psnr_db for golden in goldens),
        ssim=_worst(min, [golden.ssim for golden in goldens]),
        latent_distance=_worst(max, [golden.latent_distance for golden in goldens]),
        lost=None if checked.judge is None else checked.judge.lost,
    )


def _worst(choose: Callable[[Iterable[float]], float], figures: Sequence[float | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return choose(known) if known else None
