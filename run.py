"""The work of `aquatint run`: from a command line, or a picture made before, to a call and to files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .remake import FORMAT, Input, Record, check_input, hash_input, printable, read_record
from .runtime.bundle import sha256_of
from .runtime.checks import LIMIT
from .runtime.errors import BadRequest, OutputFailed
from .runtime.manifest import NAME
from .runtime.pictures import read_picture
from .runtime.pipeline import Images
from .runtime.pixels import save_array, save_png
from .runtime.request import ARRAYS

# What a user says -> what of an earlier picture's record then no longer holds.
REPLACES = {
    "num_inference_steps": ("timesteps", "sigmas", "stopped_after"),
    "timesteps": ("sigmas", "stopped_after"),
    "sigmas": ("timesteps", "stopped_after"),
    "num_images_per_prompt": ("index",),
}


@dataclass(frozen=True)
class Job:
    """One run.

    request: arguments of the call, prompt among them, but for those that files hold.  inputs: these files, by argument.
    output: the file to write.  index: the only picture of the batch to keep, or None.  stopped_after: how many steps
    to do, or None for all.  target: where the picture was made that this one is to be like, or None.
    notes: what the user should know before anything else happens.
    """

    bundle: Path
    request: dict[str, Any]
    inputs: dict[str, Input]
    output: Path
    index: int | None = None
    stopped_after: int | None = None
    target: str | None = None
    notes: tuple[str, ...] = ()

    def arguments(self) -> dict[str, Any]:
        """The call's arguments.  Raises BadRequest for a file that is neither a picture nor an array."""
        return {**self.request, **{name: _read(Path(kept.path)) for name, kept in self.inputs.items()}}

    def write(self, made: Images) -> list[Path]:
        """Write what the call gave, each picture with its record; the files.  Raises OutputFailed."""
        images, chosen = made.images, range(len(made.images)) if self.index is None else [self.index]
        if isinstance(images, np.ndarray):
            save_array(images[list(chosen)], self.output)
            return [self.output]
        files = _files(self.output, list(chosen))
        for i, file in zip(chosen, files, strict=True):
            save_png(images[i], file, {**self.record(made), **({"index": i} if len(images) > 1 else {})})
        return files

    def record(self, made: Images) -> dict[str, Any]:
        """All that is needed to make the pictures again."""
        origin = {"bundle": _recorded(self.bundle), "manifest_sha256": sha256_of(self.bundle / NAME)}
        inputs = {name: asdict(kept) for name, kept in self.inputs.items()}
        return {"format": FORMAT, **made.settings, **origin, **inputs}


def plan_job(bundle: Path, prompt: str, asked: Mapping[str, Any], output: Path | None) -> Job:
    """What is to be run.  asked: what the user said, by the fields of Request, files as paths.

    Raises BadRequest for a file that can't be read, OutputFailed where the result can't be written.
    """
    request, inputs = _said(asked)
    request = {"prompt": prompt, **request}
    return Job(bundle, request, inputs, _output(output, "out", request, inputs))


def plan_like(
    like: Path, bundle: Path | None, prompt: str | None, asked: Mapping[str, Any], output: Path | None
) -> Job:
    """The same for a picture to make again: what the user did not say stands in its record.

    Raises BadRequest too for a record or a file of it that is of no use.
    """
    record = read_record(like)
    request, inputs = _said(asked)
    if prompt is not None:
        request["prompt"] = prompt
    gone = {name for said in request for name in REPLACES.get(said, ())}
    old = {name: value for name, value in record.request.items() if name not in gone}
    if "scheduler" in old:
        old["scheduler"] = _plain(old["scheduler"])
    request = {**old, **request}
    index = None if "index" in gone else record.origin.index
    if index is not None:
        _check_index(index, request)
    kept = {name: check_input(file, name) for name, file in record.inputs.items() if name not in inputs}
    inputs = {**kept, **inputs}
    folder = _bundle_of(record, like) if bundle is None else bundle
    opened = {"bundle": folder} if bundle is None else {}
    opened |= {name: Path(file.path) for name, file in kept.items()}
    return Job(
        bundle=folder,
        request=request,
        inputs=inputs,
        output=_output(output, f"{like.stem}-again", request, inputs, index),
        index=index,
        stopped_after=None if "stopped_after" in gone else record.origin.stopped_after,
        target=record.origin.target,
        notes=_notes(record, like, folder, opened),
    )


def _said(asked: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Input]]:
    """What the user said: arguments of the call, and files that stand for some."""
    request = {name: value for name, value in asked.items() if name not in ARRAYS}
    if "scheduler" in request:
        request["scheduler"] = _plain(_scheduler(request["scheduler"]))
    return request, {name: _input(asked[name]) for name in ARRAYS if name in asked}


def _bundle_of(record: Record, like: Path) -> Path:
    if record.origin.bundle is None:
        raise BadRequest(f"{like} does not say which bundle made it; name one")
    if not os.path.isfile(os.path.join(record.origin.bundle, NAME)):
        shown = printable(record.origin.bundle)
        raise BadRequest(f"{like} was made by the bundle {shown}, which is not here; name one before --like")
    return Path(record.origin.bundle)


def _notes(record: Record, like: Path, folder: Path, opened: Mapping[str, Path]) -> tuple[str, ...]:
    """What a record, which may be a stranger's, has the run open, and whether the bundle is still the same."""
    notes = []
    if opened:
        listed = ", ".join(f"the {name} {printable(str(path))}" for name, path in opened.items())
        notes.append(f"as {like} says, this opens {listed}")
    manifest = folder / NAME
    known = record.origin.manifest_sha256
    if known is not None and manifest.is_file() and hash_input(manifest) != known:
        notes.append(f"{like} was made by another bundle than {printable(str(folder))} is now; the picture may differ")
    return tuple(notes)


def _input(path: Path) -> Input:
    if not path.is_file():
        raise BadRequest(f"can't read {path}: there is no such file")
    return Input(_recorded(path), hash_input(path))


def _read(path: Path) -> Any:
    if path.suffix != ".npy":
        return read_picture(path)
    try:
        return np.load(path, allow_pickle=False)
    except Exception as reason:  # NumPy's reader raises many kinds for a broken file.
        raise BadRequest(f"can't read {path}: it is no .npy file of plain numbers") from reason


def _scheduler(value: str) -> Any:
    """A name as it is; of a file, the configuration in it."""
    if not (value.endswith(".json") or os.sep in value):
        return value
    path = Path(value) / "scheduler_config.json" if Path(value).is_dir() else Path(value)
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as reason:
        said = getattr(reason, "strerror", None) or "it is no JSON"
        raise BadRequest(f"can't read the scheduler's configuration {path}: {said}") from reason
    if not isinstance(config, dict):
        raise BadRequest(f"{path} is no scheduler's configuration; that is a table with a _class_name")
    return config


def _plain(scheduler: Any) -> Any:
    """Without Diffusers' notes to itself, which steer how a configuration is read."""
    if not isinstance(scheduler, dict):
        return scheduler
    return {key: value for key, value in scheduler.items() if key == "_class_name" or not key.startswith("_")}


def _check_index(index: int, request: Mapping[str, Any]) -> None:
    images = _images(request)
    if not 0 <= index < images:
        raise BadRequest(f"the record says that the picture was number {index} of {images}; they count from 0")


def _output(
    output: Path | None, stem: str, request: Mapping[str, Any], inputs: Mapping[str, Input], index: int | None = None
) -> Path:
    """Where the result goes.  Raises OutputFailed, before anything slow, where it can't."""
    arrays = request.get("output_type") in ("np", "latent")
    suffix = ".npy" if arrays else ".png"
    path = Path(stem + suffix) if output is None else output
    if arrays != (path.suffix == ".npy"):
        raise OutputFailed(f"can't write {path}: the result is {'an array; name a' if arrays else 'no'} .npy file")
    if not path.parent.is_dir():
        raise OutputFailed(f"can't write {path}: there is no folder {path.parent}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise OutputFailed(f"can't write {path}: {'it is a folder' if path.is_dir() else 'no permission'}")
    written = [path] if arrays or index is not None else _files(path, list(range(_images(request))))
    for file in written:
        if file.exists() and any(file.samefile(kept.path) for kept in inputs.values()):
            raise OutputFailed(f"can't write {file}: the run starts from it; name another file with -o")
    return path


def _files(output: Path, indices: list[int]) -> list[Path]:
    """The file of each picture: `output`, or for several out-0.png, out-1.png and so on."""
    if len(indices) == 1:
        return [output]
    return [output.with_name(f"{output.stem}-{i}{output.suffix or '.png'}") for i in indices]


def _images(request: Mapping[str, Any]) -> int:
    """How many pictures the call makes; 0 where its values are wrong, which is for the call to say."""
    prompts = 1 if isinstance(request["prompt"], str) else len(request["prompt"])
    copies = request.get("num_images_per_prompt", 1)
    return prompts * copies if isinstance(copies, int) and 0 < copies <= LIMIT else 0


def _recorded(path: Path) -> str:
    # Bytes that were not UTF-8 arrive as lone surrogates, which no JSON file takes.
    return os.fsencode(path).decode("utf-8", "replace")
