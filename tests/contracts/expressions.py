"""What an expression gives; all names in it are checked on the way."""

import ast

from aquatint.tests.contracts.checks import SILENT, Checks, Scope, last_name
from aquatint.tests.contracts.kinds import OTHER, TENSORRT, UNKNOWN, Kind, item_of, many
from aquatint.tests.contracts.names import MODULE
from aquatint.tests.contracts.told import NAMES

LISTS = frozenset({"list", "tuple", "sorted", "reversed", "iter", "set"})


class Expressions(Checks):
    """One method per kind of expression."""

    def infer(self, node: ast.expr | None, scope: Scope) -> Kind:
        """What the expression gives; all that stands in it is checked."""
        found = getattr(self, f"_{type(node).__name__.lower()}", None)
        if found is not None:
            return found(node, scope)
        for child in ast.iter_child_nodes(node) if node is not None else ():
            if isinstance(child, ast.expr):
                self.infer(child, scope)
        return OTHER

    def _name(self, node: ast.Name, scope: Scope) -> Kind:
        if node.id == MODULE:
            return TENSORRT
        return scope.kinds.get(node.id) or self.ours.named(self.file, node.id) or UNKNOWN

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Kind:
        if node.attr.strip("_") == MODULE:
            self.infer(node.value, scope)
            return TENSORRT
        return self.member(self.infer(node.value, scope), node.attr, node, scope)

    def _namedexpr(self, node: ast.NamedExpr, scope: Scope) -> Kind:
        scope.kinds[node.target.id] = self.infer(node.value, scope)
        return scope.kinds[node.target.id]

    def _ifexp(self, node: ast.IfExp, scope: Scope) -> Kind:
        self.infer(node.test, scope)
        true, false = self.implied(node.test, scope)
        kinds = [self.infer(node.body, scope.inner(true)), self.infer(node.orelse, scope.inner(false))]
        return next((kind for kind in kinds if kind not in (OTHER, UNKNOWN)), kinds[0])

    def _boolop(self, node: ast.BoolOp, scope: Scope) -> Kind:
        place, kinds = scope.inner(), []
        for value in node.values:
            kinds.append(self.infer(value, place))
            place.versions = self.implied(value, place)[isinstance(node.op, ast.Or)]
        scope.kinds.update(place.kinds)
        return next((kind for kind in kinds if kind not in (OTHER, UNKNOWN)), kinds[0])

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Kind:
        kind, _ = self.infer(node.value, scope), self.infer(node.slice, scope)
        if kind.what == "many":
            return kind if isinstance(node.slice, ast.Slice) else kind.items[0]
        if kind.what == "mapping":
            return kind.items[1]
        if kind.what == "pair" and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int):
            return kind.items[node.slice.value]
        return OTHER if kind.owner else UNKNOWN

    def _starred(self, node: ast.Starred, scope: Scope) -> Kind:
        return self.infer(node.value, scope)

    def _await(self, node: ast.Await, scope: Scope) -> Kind:
        return self.infer(node.value, scope)

    def _list(self, node: ast.List | ast.Set, scope: Scope) -> Kind:
        kinds = [self.infer(part, scope) for part in node.elts]
        return many(kinds[0] if kinds else UNKNOWN)

    _set = _list

    def _tuple(self, node: ast.Tuple, scope: Scope) -> Kind:
        return Kind("pair", items=tuple(self.infer(part, scope) for part in node.elts))

    def _dict(self, node: ast.Dict, scope: Scope) -> Kind:
        keys = [self.infer(key, scope) for key in node.keys if key is not None]
        values = [self.infer(value, scope) for value in node.values]
        return Kind("mapping", items=(keys[0], values[0])) if keys else OTHER

    def _lambda(self, node: ast.Lambda, scope: Scope) -> Kind:
        inner = scope.inner()
        inner.kinds |= {argument.arg: UNKNOWN for argument in [*node.args.args, *node.args.kwonlyargs]}
        return Kind("function", items=(self.infer(node.body, inner),))

    def _listcomp(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp, scope: Scope) -> Kind:
        return many(self.infer(node.elt, self._comprehended(node.generators, scope)))

    _setcomp = _generatorexp = _listcomp

    def _dictcomp(self, node: ast.DictComp, scope: Scope) -> Kind:
        inner = self._comprehended(node.generators, scope)
        return Kind("mapping", items=(self.infer(node.key, inner), self.infer(node.value, inner)))

    def _comprehended(self, generators: list[ast.comprehension], scope: Scope) -> Scope:
        inner = scope.inner()
        for generator in generators:
            self.bind(generator.target, item_of(self.infer(generator.iter, inner)), inner)
            for test in generator.ifs:
                self.infer(test, inner)
                inner.versions = self.implied(test, inner)[0]
        return inner

    def bind(self, target: ast.expr, kind: Kind, scope: Scope) -> None:
        """Give names their kinds; an attribute of TensorRT is written."""
        if isinstance(target, ast.Name):
            if target.id not in scope.annotated:
                scope.kinds[target.id] = kind
        elif isinstance(target, ast.Tuple | ast.List):
            for place, part in enumerate(target.elts):
                inside = kind.items[place] if kind.what == "pair" and place < len(kind.items) else item_of(kind)
                self.bind(part.value if isinstance(part, ast.Starred) else part, inside, scope)
        elif isinstance(target, ast.Attribute):
            owner = self.infer(target.value, scope)
            if owner.what == "own":
                self.ours.record(owner.name, target.attr, kind)
            if owner.what != "own" or self.ours.attribute(owner.name, target.attr) is None:
                self.member(owner, target.attr, target, scope, "write")
        else:
            self.infer(target, scope)

    def _call(self, node: ast.Call, scope: Scope) -> Kind:
        word = node.func.id if isinstance(node.func, ast.Name) else None
        if word in ("hasattr", "getattr", "setattr") and len(node.args) > 1:
            return self._asked(word, node, scope)
        kind = self.infer(node.func, scope)
        given = [self.infer(part, scope) for part in [*node.args, *(keyword.value for keyword in node.keywords)]]
        if kind.what == "type":
            if kind.name not in self.table.enums:
                self.check(kind.name, "__init__", node, scope, "read")
                self.fits(f"{kind.name}.__init__", node, scope)
            return Kind("object", kind.name)
        if kind.what == "method":
            self.fits(kind.name, node, scope)
            return self.given(kind.name)
        if kind.what == "own type":
            return Kind("own", kind.name)
        if kind.what == "function":
            return kind.items[0]
        if word == "enumerate" and given:
            return many(Kind("pair", items=(OTHER, item_of(given[0]))))
        if word == "zip":
            return many(Kind("pair", items=tuple(item_of(part) for part in given)))
        if word in LISTS and given:
            return many(item_of(given[0]))
        return item_of(given[0]) if word == "next" and given else UNKNOWN

    def _asked(self, word: str, node: ast.Call, scope: Scope) -> Kind:
        """hasattr, getattr and setattr."""
        base = self.infer(node.args[0], scope)
        for part in node.args[1:]:
            self.infer(part, scope)
        owner = base.owner
        if owner is None:
            if base.what not in SILENT and last_name(node.args[0]) in NAMES:
                self.blame(node, f"{word} of {ast.unparse(node.args[0])}: of which class is it? annotate it")
            return UNKNOWN
        if not (isinstance(node.args[1], ast.Constant) and isinstance(node.args[1].value, str)):
            self.blame(node, f"{word} of {owner} with a name that is worked out can't be checked; write it out")
            return UNKNOWN
        name = node.args[1].value
        if word == "setattr":
            self.member(base, name, node, scope, "write")
        if word == "setattr" or (word == "getattr" and len(node.args) == 2):
            return OTHER if word == "setattr" else self.member(base, name, node, scope)
        self.names.add(f"{owner}.{name}")
        having = self.table.having(owner, name)
        if not having:
            self.blame(node, f"{word} asks for {owner}.{name}, which is in no version of TensorRT")
        elif scope.versions and scope.versions <= having:
            self.blame(node, f"{word} asks for {owner}.{name}, which every version here has")
        if word == "hasattr":
            return Kind("test", f"{owner}.{name}", versions=having)
        return self.member(base, name, node, scope.inner(scope.versions & having)) if having else UNKNOWN

    def implied(self, test: ast.expr, scope: Scope) -> tuple[frozenset[str], frozenset[str]]:
        """The versions left where a test holds, and where it does not."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            return self.implied(test.operand, scope)[::-1]
        if isinstance(test, ast.BoolOp):
            sides = [self.implied(value, scope) for value in test.values]
            place = isinstance(test.op, ast.Or)
            both = frozenset(scope.versions).intersection(*(side[place] for side in sides))
            some = frozenset().union(*(side[not place] for side in sides))
            return (some, both) if place else (both, some)
        if isinstance(test, ast.Call | ast.Name):
            quiet = Expressions(self.file, self.table, self.ours)
            kind = quiet.infer(test, scope.inner())
            if kind.what == "test":
                return scope.versions & kind.versions, scope.versions - kind.versions
        return scope.versions, scope.versions
