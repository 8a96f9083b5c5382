"""The stand-ins offer nothing that the real packages lack, and their calls take what the real ones take."""

import enum
import inspect

import pytest

from aquatint.tests.contracts.names import MODULE, Table, overloads

TABLE = Table()
RELEASES = ["10.3.0.26", "10.9.0.34", "10.14.1.48", "11.0.0.114", "11.1.0.5"]


def offered(module):
    """(owner, name, object) of what a module offers."""
    for name, found in vars(module).items():
        if name.startswith("__") and name != "__version__":
            continue
        yield MODULE, name, found
        if isinstance(found, type) and issubclass(found, enum.Enum):
            yield from ((name, member, None) for member in found.__members__)
        elif isinstance(found, type):
            yield from ((name, attribute, value) for attribute, value in members(found))


def members(kind):
    found = {name: value for base in reversed(kind.__mro__[:-1]) for name, value in vars(base).items()}
    own = {name: value for name, value in found.items() if not name.startswith("_")}
    return [(name, value) for name, value in own.items() if name != "Severity"]


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("part", ["module", "lean"])
def test_tensorrt_has_every_name(trt, release, part):
    trt.install(release)
    version = ".".join(release.split(".")[:2])
    names = [(owner, name) for owner, name, _ in offered(getattr(trt, part))]
    unknown = [f"{owner}.{name}" for owner, name in names if TABLE.told(owner, name, version) is None]
    assert unknown == []
    assert len(names) > 60


@pytest.mark.parametrize("release", RELEASES)
def test_tensorrts_calls_take_the_arguments_of_the_real_ones(trt, release):
    trt.install(release)
    version = ".".join(release.split(".")[:2])
    wrong = []
    for owner, name, found in offered(trt.module):
        if owner == MODULE or not inspect.isfunction(found):
            continue
        ways = overloads(TABLE.told(owner, name, version))
        ours = [parameter for parameter in inspect.signature(found).parameters if parameter != "self"]
        if not any(list(way.names) == ours or way.names[: len(ours)] == tuple(ours) for way in ways):
            wrong.append(f"{owner}.{name}({', '.join(ours)})")
    assert wrong == []


def test_tensorrts_settable_names_can_be_set(trt):
    for owner, name, found in offered(trt.module):
        if isinstance(found, property):
            told = TABLE.told(owner, name, "10.14").split()
            assert "read" in told
            assert (found.fset is not None) <= ("write" in told), f"{owner}.{name}"


def test_the_lean_runtime_builds_nothing(trt):
    lean = set(vars(trt.lean))
    assert lean & TABLE.not_lean == set()
    assert {"Builder", "OnnxParser", "OnnxParserRefitter", "IBuilderConfig"} <= TABLE.not_lean
    assert {"Runtime", "ICudaEngine", "ILogger", "nptype"} <= lean


@pytest.mark.parametrize("part", ["runtime", "driver"])
def test_cudas_functions_take_what_the_real_ones_take(gpu, part):
    import cuda.bindings

    real, ours = gpu.real[part], getattr(cuda.bindings, part)
    functions = {name: found for name, found in vars(ours).items() if inspect.ismethod(found)}
    assert len(functions) >= 3
    for name, function in functions.items():
        theirs = list(inspect.signature(getattr(real, name)).parameters)
        assert len(inspect.signature(function).parameters) == len(theirs), name
