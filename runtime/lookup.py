"""Finds an extension by the name of its file; the only registry there is."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

from .errors import UnknownName


def names(package: str) -> tuple[str, ...]:
    """The modules in `package` (a full dotted name), sorted; importing none of them."""
    found = importlib.import_module(package)
    return tuple(sorted(module.name for module in pkgutil.iter_modules(found.__path__)))


def find(package: str, name: str, kind: str) -> ModuleType:
    """Import module `name` of `package`; `-` may stand for `_`.

    kind: what the user asked for, for the message ("backend", "family").
    Raises UnknownName, which lists those that exist.
    """
    stem = name.replace("-", "_")
    known = names(package)
    if stem not in known:
        raise UnknownName(f"unknown {kind} {name!r}; known: {', '.join(known)}")
    return importlib.import_module(f"{package}.{stem}")
