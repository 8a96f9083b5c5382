"""A profile as a TOML file, which read_profile takes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..runtime.errors import MissingPackage, OutputFailed
from ..runtime.record import to_table
from .profile import Profile


def check_place(file: Path) -> None:
    """Raises OutputFailed where a profile can't be written to `file`, MissingPackage without a writer of TOML."""
    _writer()
    if file.suffix != ".toml":
        raise OutputFailed(f"{file} must end with .toml, by which compile knows a profile's file")
    if not file.parent.is_dir():
        raise OutputFailed(f"can't write {file}: there is no folder {file.parent}")


def write_profile(profile: Profile, file: Path, description: str) -> None:
    """Write all that the profile says.  description: one line, in place of the profile's.  Raises OutputFailed."""
    table = _without_none(to_table(profile)) | {"description": description}
    del table["name"]  # which is the file's
    try:
        file.write_text(_writer().dumps(table), encoding="utf-8")
    except OSError as reason:
        raise OutputFailed(f"can't write {file}: {reason.strerror}") from reason


def _without_none(value: Any) -> Any:
    """TOML has no word for None; a key that is left out says it."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None and item != {}}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def _writer() -> Any:
    try:
        import tomli_w
    except ImportError as reason:
        raise MissingPackage('writing a profile needs tomli-w; pip install "aquatint[compile]"') from reason
    return tomli_w
