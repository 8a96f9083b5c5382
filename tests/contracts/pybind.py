"""The names that pybind11 sources define: classes, members, enums, functions; read from the text, nothing is compiled.

What a name takes or allows is told in a few words:
    method      (pool, pool_size) | (pool, size=)    one pair of brackets per overload; `=` where there is a default.
                                                     () also stands where the binding gives its arguments no names
    property    read, read write, write
    enum        value
`deprecated` follows an overload or a value, or comes before the access of a property: `read deprecated-write`.
"""

import re
from dataclasses import dataclass, field

# What the module is built with; a condition that is not here stops the reading, so that a person decides.
CONDITIONS = {
    "EXPORT_ALL_BINDINGS": True,
    "ENABLE_INETWORK_SERIALIZE": False,
    "defined(_WIN32)": False,
    "!defined(WIN32_LEAN_AND_MEAN)": False,
    "PYBIND11_VERSION_MAJOR < 2 || PYBIND11_VERSION_MAJOR == 2 && PYBIND11_VERSION_MINOR < 6": False,
}
LIST = {"append": "(x)", "clear": "()", "extend": "(L)", "insert": "(i, x)", "pop": "() | (i)", "count": "(x)"}
# Warnings that are compiled into another product only.
ELSEWHERE = "InTrtRtxOnly"

_TEXT = r'"(?:\\.|[^"\\])*"'
_COMMENT = re.compile(rf"({_TEXT}|'(?:\\.|[^'\\])')|//[^\n]*|/\*.*?\*/", re.S)
_BOUND = re.compile(r"py::(class_|enum_|bind_vector)\s*<")
_CALL = re.compile(r"\s*\.\s*(\w+)\s*(?:<[^()]*>)?\s*\(")
_ARGUMENT = re.compile(r'(?:"(\w+)"_a|py::arg\("(\w+)"\))\s*(=)?')
_DOC = re.compile(r'namespace\s+(\w+)|char\b[^;"]*?(\w+)\s*=\s*R"trtdoc\((.*?)\)trtdoc"', re.S)
_OLD = re.compile(r"^\s*\[DEPRECATED\]|Deprecated, use ", re.M)
_OLD_PROPERTY = re.compile(r":ivar (\w+): (?::class:`[^`]*` )?(?:\[DEPRECATED\]|\(Deprecated\))")
_PURE = re.compile(r"PYBIND11_OVER(?:LOAD|RIDE)_PURE_NAME\(")
_CAST = r"static_cast<(?:const )?(\w+)(?: const)?\*>\(this\)"
_OVERRIDE = re.compile(rf'(\w+)\s*=\s*utils::getOverride\(\s*{_CAST}, "(\w+)"')
_HELPER = re.compile(r'allocHelper<(\w+)>\(\s*this, "(\w+)", true,')


@dataclass
class Bound:
    """One class or enum.  overrides: what Python may override, with how many arguments; `required` if it must."""

    enum: bool = False
    bases: list[str] = field(default_factory=list)
    members: dict[str, str] = field(default_factory=dict)
    overrides: dict[str, str] = field(default_factory=dict)


@dataclass
class Module:
    """What a module of bindings offers.  types: a nested one's name has a dot; not_lean: what only builders have."""

    types: dict[str, Bound] = field(default_factory=dict)
    functions: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    not_lean: set[str] = field(default_factory=set)


def read_bindings(sources: list[str], headers: list[str], full: bool = True) -> Module:
    """Everything that the sources bind.  sources: in any order; headers: their docstrings, which tell of deprecation.

    full: False for the runtimes that build nothing.
    Raises ValueError on a preprocessor condition or a pybind11 call that it does not know.
    """
    conditions = CONDITIONS | {"EXPORT_ALL_BINDINGS": full}
    texts = [_compiled(_COMMENT.sub(lambda match: match[1] or " ", source), conditions) for source in sources]
    called = {name for text in texts for name in re.findall(r"\b(bind[A-Z]\w*)\(m\);", text)}
    texts = [text for text in texts if called >= set(re.findall(r"\bvoid (bind[A-Z]\w*)\(py::", text))]
    reader = _Reader(_docs(headers))
    chains = [chain for text in texts for match in _BOUND.finditer(text) for chain in reader.declare(text, match)]
    for text, start, name in chains:
        reader.read_members(text, start, name)
    for text in texts:
        reader.read_functions(text)
        reader.read_overrides(text)
    for bound in reader.module.types.values():
        bound.bases = [reader.names[base] for base in bound.bases if base in reader.names]
    return reader.module


class _Reader:
    def __init__(self, docs: dict[str, str]) -> None:
        self.module = Module()
        self.docs = docs
        self.names: dict[str, str] = {}  # in C++ -> in Python
        self.variables: dict[str, str] = {}  # of the sources -> the class that they hold
        self.old: dict[str, list[str]] = {}  # class -> properties that its docstring calls deprecated

    def declare(self, text: str, match: re.Match) -> list[tuple[str, int, str]]:
        """Enter one class or enum; gives where its members stand: (text, start, name)."""
        template, end = _split(text, match.end() - 1)
        head = re.compile(r"\s*(\w*)\s*(?=[({])").match(text, end)
        assert head is not None, text[match.start() : end + 40]
        arguments, end = _split(text, head.end())
        name = arguments[1].strip('"')
        if arguments[0] in self.variables:
            name = f"{self.variables[arguments[0]]}.{name}"
        bound = self.module.types[name] = Bound(enum=match[1] == "enum_", bases=template[1:])
        if match[1] == "bind_vector":
            bound.members.update(LIST)
        self.names[template[0].removeprefix("nvinfer1::")] = name
        self.old[name] = [old for argument in arguments for old in _OLD_PROPERTY.findall(self.docs.get(argument, ""))]
        chains = [(text, end, name)]
        if head[1]:
            self.variables[head[1]] = name
            chains += [(text, found.start(1), name) for found in re.finditer(rf"\b{head[1]}(\s*\.def\b)", text)]
        return chains

    def read_members(self, text: str, start: int, name: str) -> None:
        """The calls that stand one after the other from `start`."""
        bound = self.module.types[name]
        while call := _CALL.match(text, start):
            arguments, start = _split(text, call.end() - 1)
            word = call[1]
            if word in ("def", "def_static"):
                self.overload(bound.members, arguments)
            elif word == "value":
                bound.members[arguments[0].strip('"')] = "value" + self.age(arguments)
            elif word == "export_values":
                self.module.types[name.rpartition(".")[0]].members.update(bound.members)
            elif word.startswith("def_property") or word in ("def_readwrite", "def_readonly"):
                old = arguments[0].strip('"') in self.old[name]
                bound.members[arguments[0].strip('"')] = _access(word, arguments[1:], old)
            elif word != "def_buffer":
                raise ValueError(f"unknown call .{word}({arguments[0]}...) of {name}")

    def read_functions(self, text: str) -> None:
        """Functions and values of the module itself."""
        for match in re.finditer(r'\bm\.def\(|\bm\.attr\("([a-z]\w*)"\)\s*=', text):
            if match[1]:
                self.module.values[match[1]] = "value"
            else:
                self.overload(self.module.functions, _split(text, match.end() - 1)[0])

    def overload(self, members: dict[str, str], arguments: list[str]) -> None:
        """Add one function, or one more overload of it."""
        name = "__init__" if arguments[0].startswith("py::init") else arguments[0].strip('"')
        taken = [_ARGUMENT.match(argument) for argument in arguments]
        words = ", ".join((found[1] or found[2]) + (found[3] or "") for found in taken if found)
        told = f"({words}){self.age(arguments)}"
        before = members[name].split(" | ") if name in members else []
        members[name] = " | ".join(dict.fromkeys([*before, told]))

    def age(self, arguments: list[str]) -> str:
        """`` deprecated`` where the code warns or the docstring says so."""
        documented = any(_OLD.search(self.docs.get(argument, "")) for argument in arguments)
        return " deprecated" if documented or any(_warns(argument) for argument in arguments) else ""

    def read_overrides(self, text: str) -> None:
        """What C++ calls in Python: the macro of pure methods, and functions that are looked up by name."""
        for match in _PURE.finditer(text):
            arguments, _ = _split(text, match.end() - 1)
            self.override(arguments[1], arguments[2].strip('"'), arguments[4:], " required")
        for match in _OVERRIDE.finditer(text):
            call = re.compile(rf"(?<!\.)\b{match[1]}\s*\((?!\))|\b{match[1]}\(\)").search(text, match.end())
            assert call is not None, match[0]
            self.override(match[2], match[3], _split(text, text.index("(", call.start()))[0], "")
        for match in _HELPER.finditer(text):
            self.override(match[1], match[2], _split(text, text.index("(", match.start()))[0][3:], "")

    def override(self, native: str, name: str, arguments: list[str], required: str) -> None:
        bound = self.module.types.get(self.names.get(native, ""))
        if bound is not None:
            bound.overrides[name] = f"{len(arguments)}{required}"


def _access(word: str, functions: list[str], old: bool) -> str:
    """Reading and writing of a property."""
    if "readonly" in word or word == "def_readwrite":
        functions = [functions[0]] * (1 if "readonly" in word else 2)
    pairs = zip(("read", "write"), functions)  # what follows them are docstrings and policies
    told = [("deprecated-" if old or _warns(code) else "") + access for access, code in pairs if code != "nullptr"]
    return " ".join(told)


def _warns(code: str) -> bool:
    return "utils::deprecate" in code and ELSEWHERE not in code


def _docs(headers: list[str]) -> dict[str, str]:
    """`Doc::name` -> text."""
    docs = {}
    for header in headers:
        scope = ""
        for space, name, text in _DOC.findall(header):
            scope = space or scope
            if name:
                docs[f"{scope}::{name}"] = text
    return docs


def _compiled(text: str, conditions: dict[str, bool]) -> str:
    """The lines that the module is built from."""
    lines: list[str] = []
    taken = [True]
    for line in text.replace("\\\n", " ").split("\n"):
        directive = re.match(r"\s*#\s*(\w+)\s*(.*?)\s*$", line)
        if directive is None:
            lines += [line] if all(taken) else []
        elif directive[1] == "if":
            if directive[2] not in conditions:
                raise ValueError(f"unknown condition #if {directive[2]}; say in CONDITIONS whether it holds")
            taken.append(conditions[directive[2]])
        elif directive[1] == "else":
            taken[-1] = not taken[-1]
        elif directive[1] == "endif":
            taken.pop()
        elif directive[1] not in ("include", "define", "undef", "pragma"):
            raise ValueError(f"unknown directive {line.strip()}")
    return "\n".join(lines)


def _split(text: str, start: int) -> tuple[list[str], int]:
    """What stands between the bracket at `start` and its end, split at its own commas; and the place behind it."""
    angles = text[start] == "<"
    openers, closers = ("([{<", ")]}>") if angles else ("([{", ")]}")
    parts, depth, begin, place = [], 0, start + 1, start
    while place < len(text):
        if text[place] in "\"'":
            quoted = re.compile(rf"{_TEXT}|'(?:\\.|[^'\\])+'").match(text, place)
            assert quoted is not None, text[place : place + 40]
            place = quoted.end()
            continue
        depth += (text[place] in openers) - (text[place] in closers)
        if depth == 0 or (depth == 1 and text[place] == ","):
            parts.append(" ".join(text[begin:place].split()))
            begin = place + 1
        place += 1
        if depth == 0:
            return ([] if parts == [""] else parts), place
    raise ValueError(f"no end to the bracket before {text[start : start + 60]!r}")
