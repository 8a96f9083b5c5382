"""tensorrt_names.json, opened: what TensorRT's Python module offers in each version."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("tensorrt_names.json")
MODULE = "trt"
# Every enum has these from pybind11.
OF_ENUMS = {"name": "read", "value": "read", "__members__": "read", "__init__": "(value)"}


@dataclass(frozen=True)
class Overload:
    """One way to call.  required: those without a default; no names at all where the binding tells none."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    deprecated: bool

    def takes(self, positional: int, keywords: list[str]) -> bool:
        """If these arguments fit."""
        if not self.names:
            return not keywords
        given = {*self.names[:positional], *keywords}
        once = positional + len(keywords) == len(given) <= len(self.names)
        return once and given <= set(self.names) and set(self.required) <= given


class Table:
    """The names, by version.  An owner is a class, an enum, or MODULE; not_lean: what only the full package has."""

    def __init__(self, file: Path = FILE) -> None:
        told = json.loads(file.read_text(encoding="utf-8"))
        self.versions: tuple[str, ...] = tuple(told["versions"])
        self.not_lean = frozenset(told["not in tensorrt_lean"])
        self.enums = frozenset(told["enums"])
        self._owners = told["enums"] | told["classes"]
        self._owners[MODULE] = {"members": told["functions"] | told["values"]}
        for name, owner in list(self._owners.items()):
            if name != MODULE:  # a nested one is a member of its class
                outer, _, short = name.rpartition(".")
                span = owner.get("versions", f"{self.versions[0]}-{self.versions[-1]}")
                self._owners[outer or MODULE]["members"][short] = {span: f"type {name}"}

        self.words = frozenset(word for owner in self._owners.values() for word in owner["members"])

    def __contains__(self, owner: str) -> bool:
        return owner in self._owners

    def told(self, owner: str, name: str, version: str) -> str | None:
        """What the table says of a name of an owner, inherited ones too; None where it does not exist."""
        found = self._at(owner, "members", name, version)
        if found is None and owner in self.enums:
            found = OF_ENUMS.get(name)
        return found

    def having(self, owner: str, name: str) -> frozenset[str]:
        """The versions in which a name exists."""
        return frozenset(version for version in self.versions if self.told(owner, name, version) is not None)

    def override(self, owner: str, name: str, version: str) -> tuple[int, bool] | None:
        """How many arguments C++ gives to a method that Python may define, and whether Python must define it."""
        found = self._at(owner, "overrides", name, version)
        return (int(found.split()[0]), found.endswith("required")) if found else None

    def overrides(self, owner: str) -> set[str]:
        """All such methods, of any version."""
        entry = self._owners[owner]
        return set(entry.get("overrides", ())).union(*(self.overrides(base) for base in entry.get("bases", ())))

    def _at(self, owner: str, part: str, name: str, version: str) -> str | None:
        entry = self._owners[owner]
        if "versions" in entry and not self._within(version, entry["versions"]):
            return None
        told = entry.get(part, {}).get(name)
        if isinstance(told, dict):
            told = next((kind for span, kind in told.items() if self._within(version, span)), None)
        if told is None:
            found = (self._at(base, part, name, version) for base in entry.get("bases", ()))
            told = next((kind for kind in found if kind is not None), None)
        return told

    def _within(self, version: str, span: str) -> bool:
        for run in re.split(r",\s*", span):
            first, _, last = run.partition("-")
            place = self.versions.index
            if place(first) <= place(version) <= place(last or first):
                return True
        return False


def overloads(told: str) -> list[Overload]:
    """`(network, config) | (network, config, kernel_text)` -> its ways to call; [] where it is no method."""
    found = []
    for way in told.split(" | "):
        if match := re.fullmatch(r"\((.*)\)( deprecated)?", way):
            words = [word for word in match[1].split(", ") if word]
            required = tuple(word for word in words if not word.endswith("="))
            found.append(Overload(tuple(word.rstrip("=") for word in words), required, bool(match[2])))
    return found


def is_deprecated(told: str, access: str) -> bool:
    """If this access (`read`, `write`, `call`) is deprecated; a method is when each of its overloads is."""
    ways = overloads(told)
    if ways:
        return all(way.deprecated for way in ways)
    return told == "value deprecated" or f"deprecated-{access}" in told.split()


def allows(told: str, access: str) -> bool:
    """If a name can be read or written."""
    words = [word.removeprefix("deprecated-") for word in told.split()]
    return access in words if {"read", "write"} & set(words) else access == "read"
