"""Holds one name, or one call, against the table."""

import ast
from dataclasses import dataclass, field

from aquatint.tests.contracts.kinds import OTHER, UNKNOWN, Kind, Ours, many
from aquatint.tests.contracts.names import MODULE, Table, allows, is_deprecated, overloads
from aquatint.tests.contracts.told import BY_POSITION, NAMES, RETURNS, TRAPS

SILENT = frozenset({"other", "function", "method", "test", "pair", "many", "mapping", "own type"})


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong with a line."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


@dataclass
class Scope:
    """What the names of a function are, and the versions that a place in it is for."""

    versions: frozenset[str]
    kinds: dict[str, Kind] = field(default_factory=dict)
    annotated: set[str] = field(default_factory=set)

    def inner(self, versions: frozenset[str] | None = None) -> "Scope":
        """For what stands inside; it does not change this one."""
        return Scope(self.versions if versions is None else versions, dict(self.kinds), set(self.annotated))


class Checks:
    """What is found in one file; `findings` and `names` grow."""

    def __init__(self, file: str, table: Table, ours: Ours) -> None:
        self.file, self.table, self.ours = file, table, ours
        self.findings: set[Finding] = set()
        self.names: set[str] = set()

    def blame(self, node: ast.expr | ast.stmt, text: str) -> None:
        self.findings.add(Finding(self.file, node.lineno, text))

    def member(self, base: Kind, name: str, node: ast.expr, scope: Scope, access: str = "read") -> Kind:
        """`base.name`, checked.  node: what to blame; of an attribute, its value's name too."""
        if base.what == "own":
            found = self.ours.attribute(base.name, name)
            inherited = self.inherits(base.name) if found is None else None
            return found or (self.member(Kind("object", inherited), name, node, scope) if inherited else UNKNOWN)
        if base.what == "own type":
            return self.ours.attribute(base.name, name) or UNKNOWN
        if base.what == "mapping" and name in ("get", "pop", "setdefault"):
            return Kind("function", items=(base.items[1],))
        if base.what == "mapping" and name in ("items", "values", "keys"):
            given = {"items": Kind("pair", items=base.items), "values": base.items[1], "keys": base.items[0]}
            return Kind("function", items=(many(given[name]),))
        if base.what == "many" and name == "pop":
            return Kind("function", items=base.items)
        if base.owner is not None:
            return self._known(base, name, node, scope, access)
        if base.what == "untold":
            self.blame(node, f".{name}: what {base.name} gives is not told; add it to RETURNS in told.py")
        elif base.what not in SILENT and isinstance(node, ast.Attribute) and self._of_tensorrt(node):
            self.blame(node, f"{ast.unparse(node)}: of which class is {ast.unparse(node.value)}? annotate it")
        return UNKNOWN

    def _of_tensorrt(self, node: ast.Attribute) -> bool:
        """If a value of unknown class looks like TensorRT's: by its own name, or by what is asked of it."""
        return last_name(node.value) in NAMES or ("_" in node.attr and node.attr in self.table.words)

    def _known(self, base: Kind, name: str, node: ast.expr, scope: Scope, access: str) -> Kind:
        owner = base.name
        if name in dir(type) and name != "__members__":  # Python's own, such as __init__ and __name__
            return OTHER
        self.check(owner, name, node, scope, access)
        if name == "__members__":
            return Kind("mapping", items=(OTHER, Kind("object", owner)))
        told = next(filter(None, (self.table.told(owner, name, version) for version in self.table.versions)), "")
        if not told:
            return UNKNOWN  # blamed already
        if told.startswith("type "):
            return Kind("type", told.removeprefix("type "))
        if overloads(told):
            return Kind("method", f"{owner}.{name}")
        if told.startswith("value") and owner in self.table.enums:
            return Kind("object", owner)
        if told.startswith("value"):  # `trt.float32`, `trt.Logger.INFO`
            exported = "DataType" if owner == MODULE else "ILogger.Severity"
            return OTHER if name == "__version__" else Kind("object", exported)
        return self.given(f"{owner}.{name}")

    def given(self, key: str) -> Kind:
        """What a method or a property gives."""
        told = RETURNS.get(key)
        if told is None:
            return Kind("untold", key)
        short = told.removeprefix("list of ")
        kind = Kind("object", short) if short in self.table else OTHER
        return kind if short == told else many(kind)

    def check(self, owner: str, name: str, node: ast.expr, scope: Scope, access: str) -> None:
        """Blame a name that the versions of the place do not have, or that is not to be used."""
        key = f"{owner}.{name}"
        self.names.add(key)
        having = self.table.having(owner, name)
        if not having:
            self.blame(node, f"{key} is in no version of TensorRT")
        elif lacking := scope.versions - having:
            self.blame(node, f"{key} is missing from TensorRT {self.listed(lacking)}; ask for it with hasattr")
        told = {version: self.table.told(owner, name, version) for version in self.ordered(scope.versions & having)}
        plain = {version: kind for version, kind in told.items() if kind and not overloads(kind)}
        closed = [version for version, kind in plain.items() if not allows(kind, access)]
        if closed:
            self.blame(node, f"{key} has no {access} access in TensorRT {self.listed(closed)}")
        oldest = next(iter(told.values()), None)
        if oldest and is_deprecated(oldest, access):
            self.blame(node, f"{key} is deprecated, in TensorRT {next(iter(told))} already")
        if key in TRAPS:
            self.blame(node, f"{key}: {TRAPS[key]}")

    def fits(self, key: str, node: ast.Call, scope: Scope) -> None:
        """Blame arguments that some version of the place does not take."""
        owner, _, name = key.rpartition(".")
        keywords = [keyword.arg for keyword in node.keywords if keyword.arg is not None]
        if key in BY_POSITION and keywords:
            self.blame(node, f"{key}: the binding has its keywords in the wrong order; call it by position")
        if any(isinstance(part, ast.Starred) for part in node.args) or len(keywords) < len(node.keywords):
            return
        told = {version: self.table.told(owner, name, version) for version in self.ordered(scope.versions)}
        unfit = [
            version
            for version, kind in told.items()
            if kind and not any(way.takes(len(node.args), keywords) for way in overloads(kind))
        ]
        if unfit:
            given = ", ".join([*(["..."] * len(node.args)), *(f"{keyword}=" for keyword in keywords)])
            taken = " or ".join(dict.fromkeys(told[version] or "" for version in unfit))
            self.blame(node, f"{key}({given}) does not fit {taken} of TensorRT {self.listed(unfit)}")

    def listed(self, versions: frozenset[str] | list[str]) -> str:
        """The versions in their order."""
        return ", ".join(self.ordered(versions))

    def ordered(self, versions: frozenset[str] | list[str]) -> list[str]:
        return [version for version in self.table.versions if version in versions]

    def inherits(self, key: str) -> str | None:
        """The TensorRT class that a class of ours extends."""
        for base in self.ours.classes[key].bases:
            name = base.removeprefix(f"{MODULE}.")
            if name != base and name in self.table:
                return name
            outer = self.ours.find(self.ours.classes, key.rpartition(":")[0], base)
            if outer and outer != key and (found := self.inherits(outer)):
                return found
        return None


def last_name(node: ast.expr) -> str:
    """`engine` of `self._engine`."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name.strip("_")
