"""What a PNG says of how it was made: written by `aquatint run`, read by its --like."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from .runtime.bundle import sha256_of
from .runtime.errors import BadRequest
from .runtime.pixels import read_settings
from .runtime.record import from_table
from .runtime.request import ARRAYS, Request

FORMAT = 1
SHOWN = 240  # of a message that quotes a stranger's file


@dataclass(frozen=True)
class Input:
    """A file that a run read.  path: as it was given."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Origin:
    """What else a PNG may say: where the picture came from.

    bundle: the folder as it was given.  manifest_sha256: of its manifest.  index: which of its batch the picture was.
    stopped_after: how many steps were done.
    """

    format: int = FORMAT
    bundle: str | None = None
    manifest_sha256: str | None = None
    model: str | None = None
    target: str | None = None
    profile: str | None = None
    approximations: tuple[str, ...] = ()
    index: int | None = None
    stopped_after: int | None = None


@dataclass(frozen=True)
class Record:
    """What a PNG says; values are checked where they are used.

    request: the arguments of the call, but for arrays.  inputs: the files that stand for these, by argument.
    """

    request: dict[str, Any]
    inputs: dict[str, Input]
    origin: Origin


def read_record(path: Path) -> Record:
    """The record of a PNG, which may be a stranger's; opens no other file.

    Raises BadRequest, in one line: no PNG, no record, a later format's, unknown keys or values of another type.
    """
    table = read_settings(path)
    version = table.get("format", FORMAT) if isinstance(table, Mapping) else FORMAT
    if isinstance(version, int) and version > FORMAT:
        raise BadRequest(f"{path} was made by a later aquatint (format {version}, this one reads {FORMAT}); install it")
    try:
        return _record(table, f"the record in {path}")
    except BadRequest as reason:
        raise BadRequest(printable(str(reason))) from reason


def _record(table: Any, where: str) -> Record:
    """One table holds the fields of Request, with files in place of arrays, and those of Origin."""
    if not isinstance(table, Mapping):
        raise BadRequest(f"{where} is no table of keys")
    asked, came = ({field.name for field in fields(kind)} for kind in (Request, Origin))
    unknown = [str(key) for key in table if key not in asked | came]
    if unknown:
        raise BadRequest(f"{where} has no key {', '.join(unknown)}; known keys: {', '.join(sorted(asked | came))}")
    words = {key: value for key, value in table.items() if key in asked and key not in ARRAYS}
    return Record(
        request=from_table(Request, words, where, BadRequest).said(),
        inputs={
            name: from_table(Input, table[name], f"{where}: {name}", BadRequest) for name in ARRAYS if name in table
        },
        origin=from_table(Origin, {key: value for key, value in table.items() if key in came}, where, BadRequest),
    )


def check_input(kept: Input, name: str) -> Input:
    """The same, once the file is what it was.  name: of the argument.  Raises BadRequest."""
    shown = printable(kept.path)
    if not os.path.isfile(kept.path):
        raise BadRequest(
            f"{shown}, which the picture was made from, is not here; bring it back, or name another {name}"
        )
    if hash_input(Path(kept.path)) != kept.sha256:
        raise BadRequest(f"{shown} has changed since the picture was made; bring it back, or name another {name}")
    return kept


def hash_input(path: Path) -> str:
    """The sha256 of a file that a run starts from.  Raises BadRequest where it can't be read."""
    try:
        return sha256_of(path)
    except OSError as reason:
        raise BadRequest(f"can't read {printable(str(path))}: {reason.strerror}") from reason


def printable(text: str) -> str:
    """A stranger's text as one line that a terminal may show."""
    clean = "".join(sign if sign.isprintable() else "?" for sign in text)
    return clean if len(clean) <= SHOWN else f"{clean[:SHOWN]} ..."
