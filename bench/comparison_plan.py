"""What a comparison is about to do: bundles that can be compared, and the one job that each of them gets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..runtime.bundle import Bundle, open_bundle, pipeline_of
from ..runtime.errors import BadRequest
from ..runtime.manifest import Manifest
from ..runtime.session import backend
from .comparison_trial import LEAST_STEPS, Job, begin

# None that a model is calibrated with, for those it may know by heart.
PROMPTS = (
    "a lighthouse on a cliff in a storm, oil painting",
    "a wooden table with three green apples and a glass of water, photograph",
    "portrait of a woman with curly red hair, soft light",
    "a small house in a snowy forest at night, lit windows",
)
DEMO = "demo"  # the source that manifests of the embedded model name
DEMO_PROMPTS = (0, 4, 5, 7)  # of its held-out ones; the second shows two objects
JUDGED = 200  # prompts that its judge looks at


@dataclass(frozen=True)
class Ask:
    """What a caller wants.  prompts: none for the built-in ones.  steps: None for the first bundle's usual number.

    judge: score the demo model's pictures too.
    """

    prompts: tuple[str, ...] = ()
    seed: int = 0
    steps: int | None = None
    rounds: int = 3
    judge: bool = False


@dataclass(frozen=True)
class Plan:
    """names: of the bundles, each another.  job: for each of them, once its folder is put in."""

    bundles: tuple[Bundle, ...]
    names: tuple[str, ...]
    job: Job
    machine: str

    @property
    def prompts(self) -> tuple[str, ...]:
        """Of the pictures."""
        return self.job.prompts

    @property
    def steps(self) -> int:
        """Of each picture."""
        return self.job.steps

    def parts(self, number: int) -> int:
        """How many parts of work a bundle is in a round: steps, and pictures for the judge."""
        if number > 0:
            return self.job.steps
        return len(self.job.prompts) * self.job.steps + (JUDGED if self.job.judge else 0)


def make_plan(folders: Sequence[Path], ask: Ask) -> Plan:
    """Check everything that can be checked without an engine; reads every file of every bundle.

    Raises BadRequest where there are too few bundles, two of different models or shapes, or an impossible wish; and
    what open_bundle raises.
    """
    if len(folders) < 2:
        raise BadRequest(f"a comparison needs two bundles or more, the first as the reference; got {len(folders)}")
    if ask.rounds < 1:
        raise BadRequest(f"rounds is {ask.rounds}; it must be at least 1")
    # Hashing also brings the files into memory, so that no bundle's load is slowed by the disk alone.
    bundles = tuple(open_bundle(folder, hashes=True) for folder in folders)
    first = bundles[0]
    for other in bundles[1:]:
        for difference in differences(first.manifest, other.manifest):
            raise BadRequest(f"{other.folder} can't be compared with {first.folder}: {difference}")
    manifest = first.manifest
    if ask.judge:
        check_judge(manifest)
    steps = max(manifest.defaults.num_inference_steps, LEAST_STEPS) if ask.steps is None else ask.steps
    if steps < LEAST_STEPS:
        raise BadRequest(f"steps is {steps}; a comparison needs {LEAST_STEPS} or more, for the first is not timed")
    usual = manifest.defaults
    prompts = ask.prompts or _prompts(manifest)
    job = Job(str(first.folder), prompts, ask.seed, steps, usual.guidance_scale, usual.scheduler, ask.judge)
    for prompt in prompts:
        begin(pipeline_of(first), first, prompt, job).close()  # so that a bad wish is refused here
    return Plan(bundles, names_of(folders), job, backend(first.target).describe(first.target.device))


def differences(a: Manifest, b: Manifest) -> Iterator[str]:
    """A sentence for each thing that must be the same in the second, `b`, and is not."""
    # Weights tell a model better than the name of the folder that it came from.
    if (a.pipeline, a.model.sha256 or a.model.name) != (b.pipeline, b.model.sha256 or b.model.name):
        yield f"it holds other weights, of {b.model.source} in place of {a.model.source}"
    elif a.model.adapters != b.model.adapters:
        yield f"merged into it: {_adapters(b)}; into the other: {_adapters(a)}"
    for field in ("sizes", "height", "width", "batch", "guidance", "prompt_chunks"):
        mine, theirs = getattr(a.shapes, field), getattr(b.shapes, field)
        if mine != theirs:
            yield f"its {field} is {theirs}, not {mine}; compile both with the same shapes"


def names_of(folders: Sequence[Path]) -> tuple[str, ...]:
    """The folders' own names; those that come twice with their parents or, of the same folder, a number."""
    short = [folder.resolve().name for folder in folders]
    names = [name if short.count(name) == 1 else str(folder) for name, folder in zip(short, folders)]
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(found)


def _prompts(manifest: Manifest) -> tuple[str, ...]:
    if manifest.model.source != DEMO:
        return PROMPTS
    from ..demo.prompts import held_out

    prompts = [prompt for prompt, _ in held_out()]
    return tuple(prompts[index] for index in DEMO_PROMPTS)


def check_judge(manifest: Manifest) -> None:
    """Raises BadRequest for a bundle whose pictures the demo model's judge does not know."""
    from ..demo.draw import SIZE

    if manifest.model.source != DEMO or manifest.model.adapters:
        raise BadRequest(
            f"the judge knows the demo model's pictures alone, and these are of {manifest.model.source}; "
            "leave --judge out"
        )
    manifest.shapes.check_size(SIZE, SIZE, 1)


def _adapters(manifest: Manifest) -> str:
    return ", ".join(adapter.name for adapter in manifest.model.adapters) or "nothing"
