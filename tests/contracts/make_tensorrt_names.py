"""Writes tensorrt_names.json: which names TensorRT's Python module offers in which version.

    python -m aquatint.tests.contracts.make_tensorrt_names CHECKOUT -o tests/contracts/tensorrt_names.json

CHECKOUT is a clone of https://github.com/NVIDIA/TensorRT, bare or not, with the tags below.
"""

import argparse
import ast
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from aquatint.tests.contracts.pybind import Bound, Module, read_bindings

SOURCE = "https://github.com/NVIDIA/TensorRT python (Apache-2.0), names only"
# The first release of every minor version: what it has, its patches have too.
TAGS = {
    "10.3": "v10.3.0", "10.4": "v10.4.0", "10.5": "v10.5.0", "10.6": "v10.6.0", "10.7": "v10.7.0", "10.8": "v10.8.0",
    "10.9": "v10.9.0", "10.10": "v10.10.0", "10.11": "v10.11", "10.12": "v10.12.0", "10.13": "v10.13.0",
    "10.14": "v10.14", "10.15": "v10.15", "10.16": "v10.16", "11.0": "v11.0", "11.1": "v11.1",
}  # fmt: skip
FRONT = "python/packaging/bindings_wheel/tensorrt/__init__.py"


def main() -> None:
    """Read every version and write what changed when."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    modules = {version: read_module(options.checkout, tag) for version, tag in TAGS.items()}
    options.output.write_text(_short(json.dumps(merge(modules), indent=1)) + "\n", encoding="utf-8")


def read_module(checkout: Path, tag: str) -> Module:
    """One version: what C++ binds, and what the module's own Python adds."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", checkout, *words], check=True, capture_output=True, text=True).stdout

    files = git("ls-tree", "-r", "--name-only", tag, "python/").split()
    sources = [git("show", f"{tag}:{file}") for file in files if re.search(r"/src/.*\.cpp$", file)]
    headers = [git("show", f"{tag}:{file}") for file in files if re.search(r"/docstrings/.*\.h$", file)]
    module, lean = read_bindings(sources, headers), read_bindings(sources, [], full=False)
    module.not_lean = {*module.types, *module.functions} - {*lean.types, *lean.functions}
    for name, bound in lean.types.items():
        assert set(bound.members) == set(module.types[name].members), f"{name} has less in the lean runtime"
    read_front(git("show", f"{tag}:{FRONT}"), module)
    return module


def read_front(text: str, module: Module) -> None:
    """The module's own Python, a template: functions, and members that it sets on bound classes."""
    warned = {"common_enter": " deprecated"}
    for node in ast.walk(ast.parse(re.sub(r"##\w+##", "tensorrt", text))):
        if isinstance(node, ast.FunctionDef) and not node.name.startswith(("_", "common_", "find_")):
            module.functions[node.name] = f"({', '.join(argument.arg for argument in node.args.args)})"
        elif isinstance(node, ast.Assign):
            target = node.targets[0]
            if isinstance(target, ast.Name) and target.id == "__version__":
                module.values[target.id] = "value"
            elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                members = module.types[target.value.id].members
                value = ast.unparse(node.value)
                if value in module.types:  # `Logger.Severity = ILogger.Severity`, which it inherits
                    continue
                kind = "read" if value.startswith("property(") else "()" if target.attr.startswith("__") else "value"
                members[target.attr] = kind + warned.get(value, "")


def merge(modules: dict[str, Module]) -> dict:
    """{name: what is told of it}, or {name: {versions: what is told}} where that is not the same in all."""
    versions = list(modules)

    def over(find: Callable[[Module], dict[str, str]], only: list[str] = versions) -> dict:
        names = dict.fromkeys(name for version in only for name in find(modules[version]))
        return {name: _spans({v: find(modules[v]).get(name) for v in only}, versions, only) for name in sorted(names)}

    not_lean = sorted(set().union(*(module.not_lean for module in modules.values())))
    merged: dict = {"source": SOURCE, "versions": versions, "not in tensorrt_lean": not_lean}
    merged |= {"functions": over(lambda module: module.functions)}
    merged |= {"values": over(lambda module: module.values), "enums": {}, "classes": {}}
    for name in sorted({name for module in modules.values() for name in module.types}):
        only = [version for version, module in modules.items() if name in module.types]

        def bound(module: Module, name: str = name) -> Bound:
            return module.types[name]

        told: dict = {} if only == versions else {"versions": _ranges(only, versions)}
        members = over(lambda module: bound(module).members, only)
        if bound(modules[only[-1]]).enum:
            merged["enums"][name] = told | {"members": members}
            continue
        bases = {version: bound(modules[version]).bases for version in only}
        assert all(bases[version] == bases[only[-1]] for version in only), f"{name} changes its bases"
        told |= {"bases": bases[only[-1]]} if bases[only[-1]] else {}
        told["members"] = members
        overrides = over(lambda module: bound(module).overrides, only)
        merged["classes"][name] = told | ({"overrides": overrides} if overrides else {})
    return merged


def _spans(told: dict[str, str | None], versions: list[str], only: list[str]) -> str | dict[str, str]:
    """`told` itself where it is one for all versions of the owner."""
    kinds = dict.fromkeys(kind for kind in told.values() if kind is not None)
    if len(kinds) == 1 and None not in told.values():
        return next(iter(kinds))
    return {_ranges([version for version in only if told[version] == kind], versions): kind for kind in kinds}


def _ranges(some: list[str], versions: list[str]) -> str:
    """`10.3-10.16, 11.1`: the runs of neighbours."""
    runs: list[list[str]] = []
    for version in some:
        if runs and versions.index(version) == versions.index(runs[-1][-1]) + 1:
            runs[-1].append(version)
        else:
            runs.append([version])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _short(text: str) -> str:
    """A name of a few versions, and a list, on one line."""
    return re.sub(r"([{\[])\n\s+([^{}\[\]]{1,160}?)\n\s+([}\]])", _joined, text)


def _joined(match: re.Match) -> str:
    inside = " ".join(match[2].split())
    return f"{match[1]}{inside}{match[3]}" if len(inside) <= 105 else match[0]


if __name__ == "__main__":
    main()
