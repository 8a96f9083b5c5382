"""Holds our code against the installed cuda-bindings: names, numbers of arguments, numbers of results.

`cudart` and `driver` (or `_cudart`, `self._cudart`, and the call `bindings()`) are the modules `cuda.bindings.runtime`
and `cuda.bindings.driver`; under other names they are refused.
"""

import ast
import inspect
import re
from types import ModuleType

from aquatint.tests.contracts.checks import Finding, last_name
from aquatint.tests.contracts.walk import Walked

# The name of a module -> what our files call it.
CALLED = {"runtime": "cudart", "driver": "driver"}
GIVES_RUNTIME = "bindings"
# What the functions give whose fields we read.
STRUCTS = {"cudaGetDeviceProperties": "cudaDeviceProp"}
# Ours: takes the error off what a function gives.
CHECKED = "check"
WORD = re.compile(r"(?:cuda[A-Z]|CUDA_|CU_)\w+")


def walk_cuda(files: dict[str, str], runtime: ModuleType, driver: ModuleType) -> Walked:
    """Hold files against the modules.  files: name -> source."""
    modules = {"cudart": runtime, "driver": driver}
    walks = [_Walk(name, modules) for name in files]
    for done in walks:
        done.visit(ast.parse(files[done.file]))
    findings = sorted({finding for done in walks for finding in done.findings})
    return Walked(tuple(findings), frozenset().union(*(done.names for done in walks)))


class _Walk(ast.NodeVisitor):
    def __init__(self, file: str, modules: dict[str, ModuleType]) -> None:
        self.file, self.modules = file, modules
        self.findings: set[Finding] = set()
        self.names: set[str] = set()
        self.structs: dict[str, type] = {}  # our variable -> its class

    def blame(self, node: ast.expr | ast.stmt, text: str) -> None:
        self.findings.add(Finding(self.file, node.lineno, text))

    def module(self, node: ast.expr) -> str | None:
        """`cudart` or `driver`, if that is what the expression is."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            return "cudart" if last_name(node.func) == GIVES_RUNTIME else None
        return last_name(node) if last_name(node) in self.modules else None

    def found(self, node: ast.expr) -> object:
        """What an expression such as `cudart.cudaMemcpyKind` stands for; None where it is none, or does not exist."""
        if isinstance(node, ast.Attribute) and (module := self.module(node.value)):
            return getattr(self.modules[module], node.attr, None)
        return None

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            wanted = CALLED.get(alias.name)
            if node.module == "cuda.bindings" and wanted and (alias.asname or alias.name) != wanted:
                self.blame(node, f"cuda.bindings.{alias.name} is called {alias.asname or alias.name}; call it {wanted}")
            elif (node.module or "").startswith("cuda.bindings.") and not node.level:
                self.blame(node, f"from {node.module} import {alias.name} hides it; import the module")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        if module := self.module(node.value):
            self.names.add(f"{module}.{node.attr}")
            if not hasattr(self.modules[module], node.attr):
                self.blame(node, f"{self.modules[module].__name__} has no {node.attr}")
        elif (outer := self.found(node.value)) is not None and not hasattr(outer, node.attr):
            self.blame(node, f"{ast.unparse(node.value)} has no {node.attr}")
        elif isinstance(node.value, ast.Name) and node.value.id in self.structs:
            struct = self.structs[node.value.id]
            self.names.add(f"{struct.__name__}.{node.attr}")
            if not hasattr(struct, node.attr):
                self.blame(node, f"{struct.__name__} has no {node.attr}")

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        function = self.found(node.func)
        if function is None or isinstance(function, type):
            return
        parts = [*node.args, *node.keywords]
        if any(isinstance(part, ast.Starred) or getattr(part, "arg", "") is None for part in parts):
            return
        signature = inspect.signature(function)  # type: ignore[arg-type]
        try:
            signature.bind(*node.args, **{keyword.arg or "": keyword.value for keyword in node.keywords})
        except TypeError as reason:
            self.blame(node, f"{ast.unparse(node.func)}{signature}: {reason}")

    def visit_Assign(self, node: ast.Assign) -> None:
        call, target = node.value, node.targets[0]
        checked = isinstance(call, ast.Call) and last_name(call.func) == CHECKED and len(call.args) == 1
        inner = call.args[0] if isinstance(call, ast.Call) and checked else call
        function = self.found(inner.func) if isinstance(inner, ast.Call) else None
        if isinstance(inner, ast.Call) and function is not None:
            name, results = last_name(inner.func), _results(function) - checked
            given = len(target.elts) if isinstance(target, ast.Tuple) else 1
            stars = isinstance(target, ast.Tuple) and any(isinstance(part, ast.Starred) for part in target.elts)
            if isinstance(target, ast.Tuple) and given != results and not stars:
                self.blame(node, f"{name} gives {results} things here, not {given}")
            last = target.elts[-1] if isinstance(target, ast.Tuple) else target
            if name in STRUCTS and isinstance(last, ast.Name):
                self.structs[last.id] = getattr(self.modules["cudart"], STRUCTS[name])
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """A name that getattr may be given."""
        if not (isinstance(node.value, str) and WORD.fullmatch(node.value)):
            return
        for module in self.modules.values():
            enums = [enum for enum in vars(module).values() if hasattr(enum, "__members__")]
            if hasattr(module, node.value) or any(node.value in enum.__members__ for enum in enums):
                self.names.add(node.value)
                return
        self.blame(node, f"cuda.bindings has no {node.value}")


def _results(function: object) -> int:
    """How many things a function gives, the error among them, by the section of its docstring that tells."""
    told = re.search(r"^Returns\n-+\n(.*?)(?:\n\n|\Z)", inspect.getdoc(function) or "", re.S | re.M)
    assert told is not None, function
    return len(re.findall(r"^\S", told[1], re.M))
