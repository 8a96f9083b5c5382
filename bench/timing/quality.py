"""How like the pictures of every subject are to those of the float model."""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from ...runtime.errors import BadRequest, MissingPackage
from ...runtime.likeness import SSIM_SIDE, ssim
from ...runtime.manifest import Manifest, read_manifest
from ...runtime.pixels import psnr_db
from .call import Call
from .measured import Likeness, Quality
from .rounds import Doing
from .subject import Refused, Subject, WorkerFailed


@dataclass(frozen=True)
class Shot:
    """A call, and the picture that it should give; None: that of the reference among the subjects."""

    call: Call
    reference: Path | None


@dataclass(frozen=True)
class Gallery:
    """reference: in words.  shots: of each picture.  by: the subject whose pictures are the reference, where it is one.

    judge: print and judge the demo model's 200 prompts too.
    """

    reference: str
    shots: tuple[Shot, ...]
    by: int | None = None
    judge: bool = False


def golden_gallery(folder: Path, judge: bool) -> Gallery:
    """The golden images of a bundle, by Diffusers in float32.  Raises BadRequest where none was made from text.

    A subject of its own is held against the same ones, so all subjects must be of this bundle's model.
    """
    manifest = read_manifest(folder)
    shots = tuple(_golden_shots(folder, manifest))
    if not shots:
        raise BadRequest(f"{folder} has no golden image that was made from text alone")
    return Gallery(f"golden images of {manifest.verification.reference}", shots, judge=judge)


def prompt_gallery(call: Call, prompts: Sequence[str], by: int | None, judge: bool) -> Gallery:
    """Prompts of the user's.  by: the subject that prints in float32.  Raises BadRequest where there is none."""
    if by is None:
        raise BadRequest("quality on your own prompts is measured against --baseline diffusers:fp32; add that")
    shots = tuple(Shot(replace(call, prompt=prompt, images=1), None) for prompt in prompts)
    return Gallery("Diffusers in float32 in this run", shots, by, judge)


def view(subjects: Sequence[Subject], gallery: Gallery) -> Generator[Doing, None, list[Quality | None]]:
    """Print every shot with every subject, and compare; None for a subject that failed or refused."""
    with tempfile.TemporaryDirectory(prefix="aquatint-") as scratch:
        taken: list[list[Image.Image] | None] = []
        for subject in subjects:
            taken.append((yield from _print(subject, [shot.call for shot in gallery.shots], Path(scratch))))
        references = _references(gallery, taken)
        found: list[Quality | None] = []
        for subject, pictures in zip(subjects, taken, strict=True):
            if pictures is None or references is None:
                found.append(None)
                continue
            judged = (yield from _judge(subject, Path(scratch))) if gallery.judge else None
            likes = (
                _likeness(shot.call, *both) for shot, *both in zip(gallery.shots, pictures, references, strict=True)
            )
            found.append(Quality(gallery.reference, tuple(likes), judged))
    return found


def check_flip() -> None:
    """Raises MissingPackage without FLIP."""
    try:
        import flip_evaluator  # noqa: F401
    except ImportError as reason:
        raise MissingPackage('--quality needs flip-evaluator; pip install "aquatint[bench]"') from reason


def flip(image: Image.Image, reference: Image.Image) -> float:
    """The mean difference that an eye sees when it changes between both pictures, 0 to 1; 0 where they are equal.

    At 67 pixels a degree: a screen of 0.7 m and 3840 pixels from 0.7 m away.
    Source: Andersson et al. 2020, "FLIP: a difference evaluator for alternating images", by its authors' package.
    """
    import flip_evaluator

    arrays = (np.asarray(picture.convert("RGB"), np.float32) / np.float32(255) for picture in (reference, image))
    return float(flip_evaluator.evaluate(*arrays, "LDR", applyMagma=False)[1])


def _golden_shots(folder: Path, manifest: Manifest) -> Iterator[Shot]:
    for golden in manifest.verification.goldens:
        if golden.start is None:
            call = Call(
                golden.prompt, golden.seed, golden.steps, golden.guidance_scale, golden.height, golden.width,
                scheduler=manifest.defaults.scheduler,
            )  # fmt: skip
            yield Shot(call, folder / golden.image)


def _references(gallery: Gallery, taken: Sequence[list[Image.Image] | None]) -> list[Image.Image] | None:
    if gallery.by is not None:
        return taken[gallery.by]
    return [_read(shot.reference) for shot in gallery.shots if shot.reference is not None]


def _print(subject: Subject, calls: Sequence[Call], scratch: Path) -> Generator[Doing, None, list[Image.Image] | None]:
    pictures = []
    for number, call in enumerate(calls):
        if subject.failed is not None:
            return None
        yield Doing(f"{subject.order.name}: pictures to compare", number + 1, len(calls))
        file = scratch / "picture.png"
        try:
            subject.take(call, file)
        except (Refused, WorkerFailed):
            return None
        pictures.append(_read(file))
    return pictures


def _judge(subject: Subject, scratch: Path) -> Generator[Doing, None, int | None]:
    from ...demo.draw import SIZE
    from ...demo.evaluate import Sampling
    from ...demo.judge import judge
    from ...demo.prompts import held_out

    sampling = Sampling()
    prompts = [prompt for prompt, _ in held_out(sampling.count)]
    calls = [
        Call(prompt, sampling.first_seed + index, sampling.steps, sampling.guidance_scale, SIZE, SIZE)
        for index, prompt in enumerate(prompts)
    ]
    pictures = yield from _print(subject, calls, scratch)
    if pictures is None:
        return None
    score = judge(zip(prompts, map(np.asarray, pictures), strict=True))
    return round(score.scene * score.count)


def _likeness(call: Call, picture: Image.Image, reference: Image.Image) -> Likeness:
    alike = ssim(picture, reference) if min(reference.size) >= SSIM_SIDE else None
    return Likeness(call.prompt, psnr_db(picture, reference), alike, flip(picture, reference))


def _read(file: Path) -> Image.Image:
    with Image.open(file) as picture:
        return picture.convert("RGB")
