"""What a value is, as far as the walk can tell, and what the walked files themselves define."""

import ast
from dataclasses import dataclass, field

from aquatint.tests.contracts.names import MODULE, Table

MANY_OF = frozenset(
    {"list", "set", "frozenset", "Sequence", "Iterable", "Iterator", "Generator", "Collection", "deque"}
    | {"AbstractContextManager", "AbstractSet", "Set", "List"}
)
MAPPINGS = frozenset({"dict", "Mapping", "MutableMapping", "Dict"})
TRANSPARENT = frozenset({"Optional", "Final", "ClassVar", "Annotated", "InitVar"})


@dataclass(frozen=True)
class Kind:
    """What a value is.

    what: `module` (TensorRT), `type` (a class or enum of it), `object` (of such), `method` (name: `Class.method`),
    `own type`, `own` (name: the class's key), `function` (items: what it gives), `many`, `pair`, `mapping` (items),
    `test` (whether TensorRT has a name; versions: those that have it), `untold` (of TensorRT, class not told),
    `other` (nothing of TensorRT), `unknown`.
    """

    what: str
    name: str = ""
    items: tuple["Kind", ...] = ()
    versions: frozenset[str] = frozenset()

    @property
    def owner(self) -> str | None:
        """Whose names in the table it has."""
        return self.name if self.what in ("module", "type", "object") else None


TENSORRT = Kind("module", MODULE)
OTHER = Kind("other")
UNKNOWN = Kind("unknown")


def many(item: Kind) -> Kind:
    """A list or the like."""
    return Kind("many", items=(item,))


def item_of(kind: Kind) -> Kind:
    """What a loop over it gives."""
    return kind.items[0] if kind.what in ("many", "mapping") else UNKNOWN


@dataclass
class OwnClass:
    """A class of the walked files.  attributes: those of instances, methods among them."""

    bases: list[str] = field(default_factory=list)
    attributes: dict[str, Kind] = field(default_factory=dict)


class Ours:
    """The classes and functions of the walked files."""

    def __init__(self, trees: dict[str, ast.Module], table: Table) -> None:
        self.table = table
        self.classes: dict[str, OwnClass] = {}
        self.functions: dict[str, Kind] = {}
        found = [(file, node) for file, tree in trees.items() for node in ast.walk(tree)]
        for file, node in found:
            if isinstance(node, ast.ClassDef):
                self.classes[f"{file}:{node.name}"] = OwnClass()
        for file, node in found:
            if isinstance(node, ast.ClassDef):
                self._fill(file, node)
        for file, tree in trees.items():
            for node in tree.body:
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    self.functions[f"{file}:{node.name}"] = self.returns(node, file)

    def _fill(self, file: str, node: ast.ClassDef) -> None:
        own = self.classes[f"{file}:{node.name}"]
        own.bases = [ast.unparse(base) for base in node.bases]
        for part in node.body:
            if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                own.attributes[part.target.id] = self.annotated(part.annotation, file)
            elif isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                decorators = {ast.unparse(decorator).rpartition(".")[2] for decorator in part.decorator_list}
                kind = self.returns(part, file)
                is_property = decorators & {"property", "cached_property"}
                own.attributes[part.name] = kind.items[0] if is_property else kind

    def returns(self, node: ast.FunctionDef | ast.AsyncFunctionDef, file: str) -> Kind:
        """The function, with what its annotation says that it gives."""
        return Kind("function", items=(self.annotated(node.returns, file),))

    def find(self, kept: dict, file: str, name: str) -> str | None:
        """The key of what a name means in a file: its own, else that of another file."""
        if f"{file}:{name}" in kept:
            return f"{file}:{name}"
        return next((key for key in kept if key.rpartition(":")[2] == name), None)

    def named(self, file: str, name: str) -> Kind | None:
        """A class or function of ours."""
        if key := self.find(self.classes, file, name):
            return Kind("own type", key)
        key = self.find(self.functions, file, name)
        return self.functions[key] if key else None

    def attribute(self, key: str, name: str) -> Kind | None:
        """An attribute of an instance; None where our classes do not have it."""
        own = self.classes[key]
        if name in own.attributes:
            return own.attributes[name]
        file = key.rpartition(":")[0]
        keys = [self.find(self.classes, file, base) for base in own.bases]
        found = (self.attribute(base, name) for base in keys if base and base != key)
        return next((kind for kind in found if kind is not None), None)

    def record(self, key: str, name: str, kind: Kind) -> None:
        """Note what was assigned to an attribute; what is known already stays."""
        attributes = self.classes[key].attributes
        if attributes.get(name, UNKNOWN) in (UNKNOWN, OTHER):
            attributes[name] = kind

    def count(self) -> int:
        """How much is known; it only grows."""
        kinds = [kind for own in self.classes.values() for kind in own.attributes.values()]
        return len(kinds) + sum(kind not in (UNKNOWN, OTHER) for kind in kinds)

    def annotated(self, node: ast.expr | None, file: str) -> Kind:
        """What an annotation says.  `Any`, `object` and none at all say nothing."""
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return self.annotated(ast.parse(node.value, mode="eval").body, file)
        if isinstance(node, ast.BinOp):
            sides = [self.annotated(side, file) for side in (node.left, node.right)]
            return next((kind for kind in sides if kind not in (OTHER, UNKNOWN)), sides[0])
        if isinstance(node, ast.Subscript):
            return self._subscripted(node, file)
        if node is None or ast.unparse(node) in ("Any", "typing.Any", "object"):
            return UNKNOWN
        name = ast.unparse(node)
        if name.startswith(f"{MODULE}."):
            name = name.removeprefix(f"{MODULE}.")
            return Kind("object", name) if name in self.table else UNKNOWN
        key = self.find(self.classes, file, name)
        return Kind("own", key) if key else OTHER

    def _subscripted(self, node: ast.Subscript, file: str) -> Kind:
        outer = ast.unparse(node.value).rpartition(".")[2]
        inside = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        kinds = [self.annotated(part, file) for part in inside if not isinstance(part, ast.List)]
        if outer in TRANSPARENT:
            return kinds[0]
        if outer in MANY_OF or (outer == "tuple" and ast.unparse(inside[-1]) == "..."):
            return many(kinds[0])
        if outer == "tuple":
            return Kind("pair", items=tuple(kinds))
        if outer in MAPPINGS:
            return Kind("mapping", items=(kinds[0], kinds[-1]))
        if outer == "Callable":
            return Kind("function", items=(kinds[-1],))
        if outer == "type" and kinds[0].what in ("object", "own"):
            return Kind("type" if kinds[0].what == "object" else "own type", kinds[0].name)
        return OTHER
