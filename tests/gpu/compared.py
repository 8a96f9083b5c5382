"""Pictures that must be alike: their PSNR against a bound, and a sheet that shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from aquatint.bench.likeness import drawn_mask, drawn_start
from aquatint.bench.sheet import Row, draw_sheet
from aquatint.runtime.pixels import psnr_db
from aquatint.tests.gpu.calls import Call

ENGINE_DB = {"exact": 50.0, "balanced": 30.0}  # by profile: float32, and float16 on two engines
GRAPHS_DB = 60.0  # the same kernels, launched in another way
BASELINE_DB = 0.0  # two engines in float16, neither of them a reference: only shown
HOST_LOOP_DB = 50.0  # the same sums, in another order

Files = Mapping[str, Sequence[str]]  # by a call's name


@dataclass(frozen=True)
class Comparison:
    """One call's pictures, printed in two ways.  psnr_db: of the least alike; least_db: what it must reach."""

    what: str
    call: str
    against: str
    psnr_db: float
    least_db: float

    @property
    def alike(self) -> bool:
        """Whether it does; not a number is not."""
        return self.psnr_db >= self.least_db


def compare(what: str, against: str, ours: Files, theirs: Files, least_db: float) -> list[Comparison]:
    """Every call that both printed.  Raises ValueError where they printed none in common, or not as many pictures."""
    both = [name for name in ours if name in theirs]
    if not both:
        raise ValueError(f"{what} and {against} have no call in common")
    return [Comparison(what, name, against, _least(ours[name], theirs[name]), least_db) for name in both]


def draw(title: str, names: tuple[str, str], calls: Sequence[Call], ours: Files, theirs: Files, file: Path) -> None:
    """A sheet of the first picture of each call beside the other's, with their difference enlarged."""
    rows = []
    for call in calls:
        mine, other = (Image.open(files[call.name][0]).convert("RGB") for files in (ours, theirs))
        difference = np.abs(np.asarray(mine, np.int16) - np.asarray(other, np.int16))
        size = mine.height, mine.width
        prompt = call.words["prompt"]
        task, _, way = call.name.partition(", ")
        rows.append(
            Row(
                title=task,
                text=f"{way}: {prompt if isinstance(prompt, str) else prompt[0]}",
                start=drawn_start(size) if call.start else None,
                mask=drawn_mask(size) if call.mask else None,
                pictures=(mine, other, Image.fromarray(np.minimum(20 * difference, 255).astype(np.uint8))),
                below=f"PSNR {psnr_db(mine, other):.1f} dB, largest difference {difference.max()} of 255",
            )
        )
    draw_sheet(title, (*names, "difference x 20"), rows).save(file, optimize=True)


def _least(ours: Sequence[str], theirs: Sequence[str]) -> float:
    return min(psnr_db(Image.open(mine), Image.open(other)) for mine, other in zip(ours, theirs, strict=True))
