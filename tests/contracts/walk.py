"""Holds our code against the table: every TensorRT name it uses, found by walking its syntax tree.

Known to be of a TensorRT class is what is annotated so, what such a class or its methods make, and what is assigned
from these. A name must exist in every version that its place is for: `if hasattr(value, "name")` leaves those that have
it, its `else` the others, and `getattr(value, "name", default)` asks for itself.
"""

import ast
from dataclasses import dataclass

from aquatint.tests.contracts.checks import Finding, Scope
from aquatint.tests.contracts.expressions import Expressions
from aquatint.tests.contracts.kinds import OTHER, UNKNOWN, Kind, Ours, item_of, many
from aquatint.tests.contracts.names import MODULE, Table

EXITS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


@dataclass(frozen=True)
class Walked:
    """names: every `Class.name` of the table that the files use."""

    findings: tuple[Finding, ...]
    names: frozenset[str]


def walk(files: dict[str, str], table: Table) -> Walked:
    """Hold files against the table.  files: name -> source; what one defines the others may use."""
    trees = {name: ast.parse(source) for name, source in files.items()}
    ours = Ours(trees, table)
    while True:  # the attributes of our classes get their kinds from walking, until nothing new is learned
        before = ours.count()
        walks = [_Statements(name, table, ours) for name in trees]
        for done in walks:
            done.block(trees[done.file].body, Scope(frozenset(table.versions)))
        if ours.count() == before:
            break
    findings = sorted({finding for done in walks for finding in done.findings})
    return Walked(tuple(findings), frozenset().union(*(done.names for done in walks)))


class _Statements(Expressions):
    def block(self, body: list[ast.stmt], scope: Scope, inside: str | None = None) -> None:
        """Statements in their order, then the bodies of what they define.  inside: the key of the class around them."""
        before, later = scope.versions, []
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._defined(node, scope)
                later.append((node, scope.versions))
            elif isinstance(node, ast.ClassDef):
                self._class(node, scope)
            else:
                self._statement(node, scope)
        for node, versions in later:
            self._function(node, scope.inner(versions), inside)
        scope.versions = before

    def _statement(self, node: ast.stmt, scope: Scope) -> None:
        found = getattr(self, f"_{type(node).__name__.lower()}_statement", None)
        if found is not None:
            found(node, scope)
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.infer(child, scope)

    def _import_statement(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        for alias in node.names:
            bound = alias.asname or alias.name.partition(".")[0]
            scope.kinds[bound] = self.ours.named(self.file, alias.name) or OTHER
            outside = isinstance(node, ast.ImportFrom) and not node.level and node.module
            if outside and outside.partition(".")[0] == "tensorrt":
                self.blame(node, f"from tensorrt import {alias.name} hides it from this test; write trt.{alias.name}")
            elif isinstance(node, ast.Import) and alias.name == "tensorrt" and bound != MODULE:
                self.blame(node, f"tensorrt is called {bound}; call it {MODULE}")

    _importfrom_statement = _import_statement

    def _assign_statement(self, node: ast.Assign, scope: Scope) -> None:
        kind = self.infer(node.value, scope)
        nothing = isinstance(node.value, ast.Constant) and node.value.value is None
        for target in node.targets:
            known = isinstance(target, ast.Name) and target.id in scope.kinds
            if not (nothing and known):  # `engine = None` does not make an engine something else
                self.bind(target, kind, scope)

    def _annassign_statement(self, node: ast.AnnAssign, scope: Scope) -> None:
        self.infer(node.value, scope)
        self.bind(node.target, self.annotation(node.annotation), scope)
        if isinstance(node.target, ast.Name):
            scope.annotated.add(node.target.id)

    def _augassign_statement(self, node: ast.AugAssign, scope: Scope) -> None:
        self.infer(node.value, scope)
        self.infer(node.target, scope)
        if isinstance(node.target, ast.Attribute):
            self.bind(node.target, OTHER, scope)

    def _for_statement(self, node: ast.For | ast.AsyncFor, scope: Scope) -> None:
        self.bind(node.target, item_of(self.infer(node.iter, scope)), scope)
        self.block(node.body, scope)
        self.block(node.orelse, scope)

    _asyncfor_statement = _for_statement

    def _with_statement(self, node: ast.With | ast.AsyncWith, scope: Scope) -> None:
        for item in node.items:
            kind = self.infer(item.context_expr, scope)
            if kind.what == "object":
                self.check(kind.name, "__enter__", item.context_expr, scope, "read")
            elif kind.what == "own":
                entered = self.ours.attribute(kind.name, "__enter__")
                kind = entered.items[0] if entered is not None and entered.what == "function" else UNKNOWN
            elif kind.what == "many":  # what a generator of contextlib.contextmanager yields
                kind = kind.items[0]
            if item.optional_vars is not None:
                self.bind(item.optional_vars, kind, scope)
        self.block(node.body, scope)

    _asyncwith_statement = _with_statement

    def _if_statement(self, node: ast.If, scope: Scope) -> None:
        self.infer(node.test, scope)
        before, (true, false) = scope.versions, self.implied(node.test, scope)
        for body, versions in ((node.body, true), (node.orelse, false)):
            scope.versions = versions
            self.block(body, scope)
        left = false if isinstance(node.body[-1], EXITS) else before
        if node.orelse and isinstance(node.orelse[-1], EXITS):
            left &= true
        scope.versions = left

    def _while_statement(self, node: ast.While, scope: Scope) -> None:
        self.infer(node.test, scope)
        before, scope.versions = scope.versions, self.implied(node.test, scope)[0]
        self.block(node.body, scope)
        scope.versions = before
        self.block(node.orelse, scope)

    def _assert_statement(self, node: ast.Assert, scope: Scope) -> None:
        self.infer(node.test, scope)
        self.infer(node.msg, scope)
        scope.versions = self.implied(node.test, scope)[0]

    def _try_statement(self, node: ast.Try, scope: Scope) -> None:
        self.block(node.body, scope)
        for handler in node.handlers:
            self.infer(handler.type, scope)
            if handler.name:
                scope.kinds[handler.name] = OTHER
            self.block(handler.body, scope)
        self.block(node.orelse, scope)
        self.block(node.finalbody, scope)

    _trystar_statement = _try_statement

    def _match_statement(self, node: ast.Match, scope: Scope) -> None:
        self.infer(node.subject, scope)
        for case in node.cases:
            for part in ast.walk(case.pattern):
                if isinstance(part, ast.MatchValue):
                    self.infer(part.value, scope)
                elif isinstance(part, ast.MatchAs | ast.MatchStar) and part.name:
                    scope.kinds[part.name] = UNKNOWN
            self.infer(case.guard, scope)
            self.block(case.body, scope)

    def annotation(self, node: ast.expr | None) -> Kind:
        """What an annotation says; its classes must exist in some version, for it is never run."""
        if node is not None:
            for part in _outermost(node):
                self.names.add(part)
                if part.removeprefix(f"{MODULE}.") not in self.table:
                    self.blame(node, f"{part} is no class of TensorRT, in no version")
        return self.ours.annotated(node, self.file)

    def _defined(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> None:
        for part in [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]:
            self.infer(part, scope)
        self.annotation(node.returns)
        scope.kinds[node.name] = self.ours.returns(node, self.file)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope, inside: str | None) -> None:
        """Its body.  scope: its own already."""
        arguments = node.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        for argument in every:
            scope.kinds[argument.arg] = self.annotation(argument.annotation)
            scope.annotated.discard(argument.arg)
        static = any(ast.unparse(decorator) == "staticmethod" for decorator in node.decorator_list)
        if inside is not None and every and not static:
            made = any(ast.unparse(decorator) == "classmethod" for decorator in node.decorator_list)
            scope.kinds[every[0].arg] = Kind("own type" if made else "own", inside)
        if arguments.vararg:
            scope.kinds[arguments.vararg.arg] = many(self.annotation(arguments.vararg.annotation))
        if arguments.kwarg:
            value = self.annotation(arguments.kwarg.annotation)
            scope.kinds[arguments.kwarg.arg] = Kind("mapping", items=(OTHER, value))
        self.block(node.body, scope)

    def _class(self, node: ast.ClassDef, scope: Scope) -> None:
        for part in [*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)]:
            self.infer(part, scope)
        key = f"{self.file}:{node.name}"
        scope.kinds[node.name] = Kind("own type", key)
        if base := self.inherits(key):
            self._overriding(node, base, scope)
        self.block(node.body, scope.inner(), key)

    def _overriding(self, node: ast.ClassDef, base: str, scope: Scope) -> None:
        """A class of ours that TensorRT calls: its methods must be those that it calls, with as many arguments."""
        methods = {part.name: part for part in node.body if isinstance(part, ast.FunctionDef)}
        for name, method in methods.items():
            if not name.startswith("_") and name not in self.table.overrides(base):
                called = ", ".join(sorted(self.table.overrides(base)))
                self.blame(method, f"{base} never calls {name}, only {called}; name a helper with an underscore")
        for name in sorted(self.table.overrides(base)):
            told = {version: self.table.override(base, name, version) for version in self.ordered(scope.versions)}
            counts = {kind[0] for kind in told.values() if kind is not None}
            if name in methods:
                self.names.add(f"{base}.{name}")
                given = methods[name].args
                most = len(given.posonlyargs) + len(given.args) - 1
                least = most - len(given.defaults)
                wrong = [count for count in sorted(counts) if count < least or (count > most and not given.vararg)]
                if wrong:
                    self.blame(methods[name], f"{base}.{name} is called with {wrong[0]} arguments, not with {most}")
            elif any(kind is not None and kind[1] for kind in told.values()):
                self.blame(node, f"{node.name} lacks {name}, which {base} calls")
        begin = methods.get("__init__")
        if begin is not None and ".__init__(" not in ast.unparse(begin):
            self.blame(begin, f"{node.name}.__init__ does not call {base}'s, which the binding demands")


def _outermost(node: ast.AST) -> list[str]:
    """`trt.ILogger.Severity`, not its `trt.ILogger`, wherever it stands in an annotation."""
    if isinstance(node, ast.Attribute) and ast.unparse(node).startswith(f"{MODULE}."):
        return [ast.unparse(node)]
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and f"{MODULE}." in node.value:
        return _outermost(ast.parse(node.value, mode="eval").body)
    return [name for child in ast.iter_child_nodes(node) for name in _outermost(child)]
