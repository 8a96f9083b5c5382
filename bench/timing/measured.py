"""What is known of the subjects after a measurement: records alone, as they stand in its JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..profiling.profile import Profile
from ..roofline.peaks import Peaks
from ..roofline.work import Work
from .call import Call
from .cpu_state import CpuState
from .foreign_load import ForeignLoad
from .memory import MemoryUse
from .memory_floor import MemoryFloor
from .order import Order


@dataclass(frozen=True)
class Opened:
    """What a subject's process says first.

    load_s: opening the bundle or checkpoint and its engines for the usual size.  packages: name -> version.
    """

    load_s: float
    target: str
    profile: str = ""
    packages: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One call, in seconds.

    total: of the whole call.  stages: of each component but the denoiser, all its calls together.
    steps: of each denoising step, from one to the next, the first one left out, for it holds the prompt's encoding.
    host: of the steps, what was spent outside of the denoiser; None where that is not to be seen.
    calls: of each component that was seen to be called.
    """

    total: float
    stages: dict[str, float]
    steps: tuple[float, ...]
    host: tuple[float, ...] | None
    calls: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Series:
    """One subject's calls at one point, without those that warm up.

    ends_s: of each sample, since the point began.  first_s: of the call that warmed up, which holds what engines do
    for a new size; None where nothing was new.  skipped: why there are no more samples, or none.
    """

    samples: tuple[Sample, ...] = ()
    ends_s: tuple[float, ...] = ()
    first_s: float | None = None
    skipped: str | None = None


@dataclass(frozen=True)
class Moment:
    """The processors' state, so many seconds after the point began."""

    at_s: float
    state: CpuState


@dataclass(frozen=True)
class Point:
    """One call, given to every subject in turns.  series: in the subjects' order."""

    call: Call
    series: tuple[Series, ...]
    moments: tuple[Moment, ...] = ()


@dataclass(frozen=True)
class Load:
    """Of one process.  ready_s: from its start until all is loaded.  load_s: as in Opened, which is part of it."""

    ready_s: float
    load_s: float


@dataclass(frozen=True)
class Loads:
    """cold: the folder's files were dropped from the system's page cache before; the engines' libraries were not.

    warm: they had been read just before.
    """

    cold: tuple[Load, ...]
    warm: tuple[Load, ...]


@dataclass(frozen=True)
class Vram:
    """The most of a GPU's memory.

    source: who tells.  process_bytes: as the driver counts the process, with its context; None where it does not tell.
    growth_bytes: what all of the GPU had more than before the process.
    """

    source: str
    process_bytes: int | None
    growth_bytes: int


@dataclass(frozen=True)
class Likeness:
    """One picture against its reference.  ssim, flip: None where not measured."""

    prompt: str
    psnr_db: float
    ssim: float | None
    flip: float | None


@dataclass(frozen=True)
class Quality:
    """reference: whose pictures were compared with.  judged: of the demo model's 200 prompts, those drawn right."""

    reference: str
    pictures: tuple[Likeness, ...]
    judged: int | None = None


@dataclass(frozen=True)
class Measured:
    """All that was measured of one subject but its calls.

    opened: None where it could not be opened; failed says why.  first_picture_s: from the start of its process to its
    first picture, with all that is loaded for it.  device_bytes: of an engine that counts its device's memory itself.
    work: of each component's call at the first point, by its name, where a graph tells.
    """

    order: Order
    opened: Opened | None = None
    loads: Loads | None = None
    first_picture_s: float | None = None
    memory: MemoryUse | None = None
    vram: Vram | None = None
    device_bytes: dict[str, int] = field(default_factory=dict)
    floor: MemoryFloor | None = None
    quality: Quality | None = None
    work: dict[str, Work] = field(default_factory=dict)
    profile: Profile | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Run:
    """All that was measured in one run.

    points: the first is the usual call, the others those of a sweep.  stopped: by Ctrl-C, before it was settled.
    """

    subjects: tuple[Measured, ...]
    points: tuple[Point, ...]
    load: ForeignLoad
    peaks: Peaks | None = None
    stopped: bool = False
