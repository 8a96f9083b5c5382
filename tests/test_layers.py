"""The arrows of the design: what may import what, and that no module needs a vendor's package to be imported."""

import ast
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import aquatint

PACKAGE = Path(aquatint.__file__).parent
ENGINES = frozenset({"onnxruntime", "openvino", "tokenizers", "tensorrt"})
TORCH_WORLD = frozenset(
    {"torch", "diffusers", "transformers", "onnx", "onnx_ir", "onnxscript", "safetensors", "accelerate"}
    | {"huggingface_hub", "optimum", "nncf", "bitsandbytes"}
)
VENDORS = ENGINES | TORCH_WORLD
# Each part -> the parts of ours that it may import; "" is the version in the package itself.
ARROWS = {
    "runtime": {"runtime"},
    "quantize": {"quantize", "runtime"},
    "targets": {"targets", "runtime"},
    "profiles": {"profiles", "runtime"},
    "compile": {"compile", "quantize", "targets", "profiles", "runtime", ""},
    "bench": {"bench", "compile", "quantize", "targets", "profiles", "runtime"},
    "demo": {"demo"},
    "terminal": set(),
    "inspection": {"terminal", "runtime"},
    "catalogue": {"terminal", "quantize", "targets", "runtime"},
    "run_options": set(),
    "engine_options": {"runtime"},
    "compile_options": {"compile", "profiles", "runtime"},
    "quantize_commands": {"search_command", "bench", "catalogue", "terminal", "runtime"},
    "search_command": {"compile_options", "compile", "profiles", "bench", "terminal", "runtime"},
    "bench_command": {"bench_options", "bench", "terminal", "runtime"},
    "bench_options": {"bench", "runtime"},
    "remake": {"runtime"},
    "run": {"remake", "runtime"},
}


@dataclass(frozen=True)
class Import:
    """One name that a module imports.  top: when the module itself is imported."""

    module: str
    name: str
    line: int
    top: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.name}"


def modules():
    """Dotted name -> file, of every module that is ours but the tests."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        if not (parts[0] in ("tests", "build") or any(part.startswith(".") for part in parts)):
            found[".".join(("aquatint", *(part for part in parts if part != "__init__")))] = file
    return found


def imports(module, file):
    """Every import in a file, however deep; those under TYPE_CHECKING never run and are left out."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]

    def walk(node, top):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            yield from (Import(module, alias.name, node.lineno, top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            yield from (Import(module, f"{origin}.{alias.name}", node.lineno, top) for alias in node.names)
        inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, top and not inside)

    return list(walk(ast.parse(file.read_text(encoding="utf-8")), True))


def part_of(name):
    """aquatint.compile.cache -> compile; aquatint.__version__ -> "", the package itself."""
    second = name.split(".")[1]
    return "" if second == "__version__" else second


def may_import_vendors(module):
    """The graph passes are onnx_ir throughout, and the demo's training is torch throughout."""
    return module.startswith(("aquatint.compile.passes.", "aquatint.demo."))


ALL = [found for module, file in modules().items() for found in imports(module, file)]
OURS = [found for found in ALL if found.name.split(".")[0] == "aquatint"]


def test_the_walk_sees_known_imports_at_the_top_and_inside_functions():
    seen = {(found.module, found.name, found.top) for found in ALL}
    assert ("aquatint.compile.plan", "aquatint.runtime.errors.BadModel", True) in seen
    assert ("aquatint.compile.checkpoint", "aquatint.demo.MODEL", False) in seen
    assert ("aquatint.compile.checkpoint", "diffusers.DiffusionPipeline", False) in seen
    assert ("aquatint.compile.passes.fix_dims", "onnx_ir", True) in seen


@pytest.mark.parametrize("part", ARROWS)
def test_a_part_imports_only_what_its_arrow_points_to(part):
    assert any(part_of(module) == part for module in modules() if "." in module), f"there is no {part}"
    wrong = []
    for found in OURS:
        if "." not in found.module or part_of(found.module) != part:
            continue
        # The demo model is a checkpoint like any other: by where it lies, which is asked inside functions.
        shown = part in ("compile", "bench") and part_of(found.name) == "demo" and not found.top
        if part_of(found.name) not in ARROWS[part] and not shown:
            wrong.append(str(found))
    assert wrong == []


def test_every_part_has_an_arrow_or_is_the_command_line():
    parts = {part_of(module) for module in modules() if "." in module}
    assert parts - set(ARROWS) <= {"cli", "__main__"}


def test_only_the_entry_point_imports_the_command_line():
    assert [found.module for found in OURS if part_of(found.name) == "cli"] == ["aquatint.__main__"]


def test_imports_of_our_own_are_relative():
    wrong = []
    for module, file in modules().items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            wrong += [f"{module}:{node.lineno}" for name in names if name.split(".")[0] == "aquatint"]
    assert wrong == []


def test_the_runtime_names_no_torch_even_inside_functions():
    runtime = [found for found in ALL if found.module.startswith("aquatint.runtime")]
    assert [str(found) for found in runtime if found.name.split(".")[0] in TORCH_WORLD] == []


def test_vendor_packages_are_imported_inside_functions():
    wrong = [found for found in ALL if found.top and found.name.split(".")[0] in VENDORS]
    assert [str(found) for found in wrong if not may_import_vendors(found.module)] == []


BLOCKED = """
import importlib, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"{name} is blocked", name=name)

sys.meta_path.insert(0, Blocker())
failed = []
for module in MODULES:
    try:
        importlib.import_module(module)
    except ImportError as reason:
        failed.append(f"{module}: {reason}")
print("\\n".join(failed))
"""


def run_fresh(code):
    """What a new interpreter prints."""
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd="/", timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_module_imports_where_no_vendor_package_is_installed():
    plain = [name for name in modules() if not may_import_vendors(name) and name != "aquatint.__main__"]
    assert "aquatint.compile.driver" in plain
    assert run_fresh(f"BLOCKED, MODULES = {set(VENDORS)!r}, {plain!r}\n{BLOCKED}") == ""


def test_importing_the_package_loads_neither_numpy_nor_click():
    heavy = "{'numpy', 'click', 'PIL', 'tokenizers'}"
    assert run_fresh(f"import sys, aquatint; print(*sorted({heavy} & set(sys.modules)))") == ""
