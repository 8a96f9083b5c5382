"""Every TensorRT name that our code uses exists in every version that it is used with; no TensorRT is needed."""

from pathlib import Path
from textwrap import dedent

import pytest

import aquatint
from aquatint.tests.contracts.names import Table, overloads
from aquatint.tests.contracts.pybind import read_bindings
from aquatint.tests.contracts.told import BY_POSITION, RETURNS, TRAPS
from aquatint.tests.contracts.walk import walk

PACKAGE = Path(aquatint.__file__).parent
FILES = ("runtime/tensorrt/*.py", "runtime/sessions/tensorrt*.py", "targets/tensorrt*.py")
LEAST = 40  # names; an empty walk would pass too
# What runs plans, of tensorrt_lean too; but a stripped plan takes its weights back by the full package alone.
RUNS = ("runtime/tensorrt/network.py", "runtime/tensorrt/package.py", "runtime/tensorrt/plan.py")
REFITS = {"OnnxParserRefitter", "ParserError"}
HEAD = "import tensorrt as trt\n"


@pytest.fixture(scope="module")
def table():
    return Table()


@pytest.fixture
def blame(table):
    """Source -> what is found wrong with it, a line each, without the place."""

    def find(source, **others):
        files = {"ours.py": HEAD + dedent(source), **{f"{name}.py": dedent(text) for name, text in others.items()}}
        return [finding.text for finding in walk(files, table).findings]

    return find


def test_our_code_uses_only_names_that_tensorrt_has(table):
    files = [file for pattern in FILES for file in sorted(PACKAGE.glob(pattern))]
    walked = walk({file.relative_to(PACKAGE).as_posix(): file.read_text("utf-8") for file in files}, table)
    assert not walked.findings, "\n" + "\n".join(map(str, walked.findings))
    assert len(walked.names) >= LEAST


def test_what_runs_plans_needs_no_more_than_the_lean_runtime(table):
    walked = walk({file: (PACKAGE / file).read_text("utf-8") for file in RUNS}, table)
    words = {word for name in walked.names for word in name.split(".")}
    assert {"Runtime", "ICudaEngine"} <= words
    assert words & table.not_lean <= REFITS


# --- the table


def test_the_table_spans_the_versions_that_we_run_on(table):
    assert table.versions[0] == "10.3"
    assert table.versions[-1] == "11.1"
    assert {"10.14", "10.16", "11.0"} < set(table.versions)


@pytest.mark.parametrize(
    "owner, name",
    [
        ("IBuilderConfig", "tiling_optimization_level"),
        ("IBuilderConfig", "max_num_tactics"),
        ("HardwareCompatibilityLevel", "SAME_COMPUTE_CAPABILITY"),
        ("SerializationFlag", "INCLUDE_REFIT"),
        ("Builder", "build_serialized_network_to_stream"),
        ("trt", "IStreamReaderV2"),
    ],
)
def test_what_came_after_10_3_is_not_in_it(table, owner, name):
    having = table.having(owner, name)
    assert "10.3" not in having
    assert {"10.14", "11.0", "11.1"} <= having


@pytest.mark.parametrize(
    "owner, name",
    [
        ("BuilderFlag", "FP16"),
        ("BuilderFlag", "INT8"),
        ("IBuilderConfig", "int8_calibrator"),
        ("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH"),
        ("ICudaEngine", "device_memory_size"),
        ("trt", "IInt8EntropyCalibrator2"),
    ],
)
def test_what_11_removed_is_not_in_it(table, owner, name):
    having = table.having(owner, name)
    assert {"10.3", "10.16"} <= having
    assert not {"11.0", "11.1"} & having


@pytest.mark.parametrize(
    "owner, name",
    [
        ("NetworkDefinitionCreationFlag", "STRONGLY_TYPED"),
        ("ICudaEngine", "device_memory_size_v2"),
        ("IExecutionContext", "set_device_memory"),
        ("ILogger.Severity", "VERBOSE"),
        ("Logger", "WARNING"),
        ("trt", "float16"),
        ("trt", "nptype"),
        ("OnnxParser", "parse_from_file"),
    ],
)
def test_what_never_changed_is_in_all(table, owner, name):
    assert table.having(owner, name) == set(table.versions)


def test_the_table_tells_what_cpp_calls_in_python(table):
    assert table.overrides("IProgressMonitor") == {"phase_start", "step_complete", "phase_finish"}
    assert table.override("IProgressMonitor", "phase_start", "10.3") == (3, True)
    assert table.override("IStreamReaderV2", "read", "11.1") == (2, False)  # its own binding says three


def test_the_lean_runtime_runs_plans_and_builds_none(table):
    assert {"Builder", "IBuilderConfig", "INetworkDefinition", "OnnxParser", "EngineInspector"} <= table.not_lean
    assert not {"Runtime", "ICudaEngine", "IExecutionContext", "Refitter", "DataType", "ILogger"} & table.not_lean


def test_what_is_told_by_hand_is_in_the_table(table):
    for key, told in RETURNS.items():
        owner, _, name = key.rpartition(".")
        assert table.having(owner, name), key
        assert told.removeprefix("list of ") in table or told in ("str", "bool", "list of str"), key
    for key in (*TRAPS, *BY_POSITION):
        assert table.having(*key.rsplit(".", 1)), key


def test_bindings_are_read_from_cpp():
    source = r"""
    // .def("not_this", &A::b)
    py::class_<Base>(m, "IBase").def("reset", &Base::reset);
    py::class_<Thing, Base, std::unique_ptr<Thing, py::nodelete>> thing{m, "Thing", "a, \"b\" .def("};
    thing.def(py::init<>())
        .def("run", [](Thing& self, std::map<int, int> a) { return self.run(a, ')'); }, "x"_a, py::arg("y") = 1)
        .def("run", &Thing::run2, "stream"_a)
        .def_property("size", &Thing::size, utils::deprecateMember(&Thing::setSize, "old, (see b)"))
        .def_property("sink", nullptr, &Thing::sink)
        .def_property_readonly("elsewhere", utils::deprecateMemberInTrtRtxOnly(&Thing::elsewhere, "old there"))
    #if EXPORT_ALL_BINDINGS
        .def_property_readonly("name", &Thing::name, ThingDoc::name)
    #else
        .def_readwrite("short", &Thing::name)
    #endif
        ;
    py::enum_<Thing::Kind>(thing, "Kind").value("A", Thing::Kind::kA).value("B", Thing::Kind::kB, KindDoc::b)
        .export_values();
    m.def("make", &make, "kind"_a);
    void call() { PYBIND11_OVERLOAD_PURE_NAME(void, Thing, "told", told, first, second); }
    """
    graph = 'void bindGraph(py::module& m) { py::class_<Graph>(m, "Graph"); }'
    main = "#if EXPORT_ALL_BINDINGS\nbindGraph(m);\n#endif"
    header = 'namespace KindDoc\n{ constexpr char const* b = R"trtdoc(\n [DEPRECATED] Use A.)trtdoc"; }'
    module = read_bindings([source, graph, main], [header])
    thing = module.types["Thing"]
    assert thing.bases == ["IBase"]
    assert thing.members == {
        "__init__": "()",
        "run": "(x, y=) | (stream)",
        "size": "read deprecated-write",
        "sink": "write",
        "elsewhere": "read",
        "name": "read",
        "A": "value",
        "B": "value deprecated",
    }
    assert thing.overrides == {"told": "2 required"}
    assert module.types["Thing.Kind"].members == {"A": "value", "B": "value deprecated"}
    assert module.functions == {"make": "(kind)"}
    assert "Graph" in module.types
    lean = read_bindings([source, graph, main], [], full=False)
    assert "Graph" not in lean.types
    assert "short" in lean.types["Thing"].members
    with pytest.raises(ValueError, match="unknown condition #if NEW_MACRO"):
        read_bindings(["#if NEW_MACRO\n#endif"], [])


def test_overloads_take_what_they_name():
    first, second = overloads("(network, config) | (network, config, kernel_text=) deprecated")
    assert first.takes(2, [])
    assert first.takes(1, ["config"])
    assert not first.takes(1, [])
    assert not first.takes(2, ["config"])
    assert not first.takes(3, [])
    assert second.takes(2, ["kernel_text"])
    assert (first.deprecated, second.deprecated) == (False, True)


# --- the walk


@pytest.mark.parametrize(
    "source, said",
    [
        ("trt.BuilderFlag.TF23", "BuilderFlag.TF23 is in no version"),
        ("trt.BuildFlag.TF32", "trt.BuildFlag is in no version"),
        ("trt.BuilderFlag.FP16", "BuilderFlag.FP16 is missing from TensorRT 11.0, 11.1"),
        ("def f(b: trt.Builder): b.build_serialized_network_to_stream(1, 2, 3)", "is missing from TensorRT 10.3, 10.4"),
        ("def f(n: trt.INetworkDefinition): n.has_implicit_batch_dimension", "is deprecated, in TensorRT 10.3 already"),
        ("def f(c: trt.IExecutionContext): c.device_memory = 1", "leaves out the scratch memory"),
        ("def f(e: trt.ICudaEngine): e.get_weight_streaming_automatic_budget()", "cuts it to 32 bits"),
        ("def f(e: trt.ICudaEngine): e.num_layers = 2", "has no write access"),
        ("def f(b: trt.Builder): b.gpu_allocator", "has no read access"),
        ("def f(t: trt.ITensor): t.dtype = trt.float16", "has no write access in TensorRT 11.0, 11.1"),
        ("def f(c: trt.IBuilderConfig): c.flags |= c.flag", "IBuilderConfig.flag is in no version"),
        ("def f(c: trt.IBuilderConfig): setattr(c, 'flag', 1)", "IBuilderConfig.flag is in no version"),
        ("def f(c: trt.IBuilderConfig): c.set_memory_pool_limit(1, size=2)", "does not fit (pool, pool_size)"),
        ("def f(c: trt.IBuilderConfig): c.set_memory_pool_limit(1)", "does not fit (pool, pool_size)"),
        ("def f(e: trt.ICudaEngine): e.create_execution_context(runtime_config=1)", "of TensorRT 10.3, 10.4"),
        ("def f(e: trt.ICudaEngine): e.get_tensor_profile_values(profile_index=0, name='a')", "call it by position"),
        ("trt.Builder()", "Builder.__init__() does not fit (logger)"),
        ("trt.volume(1, 2)", "trt.volume(..., ...) does not fit (iterable)"),
        ("trt.ICudaEngine()", "ICudaEngine.__init__ is in no version"),
        ("def f(x: trt.IEngine): pass", "trt.IEngine is no class of TensorRT"),
        ("def f(x: list[trt.IEngine] | None): pass", "trt.IEngine is no class of TensorRT"),
        ("def f(x: 'trt.IEngine'): pass", "trt.IEngine is no class of TensorRT"),
        ("def f(engine): engine.num_layers", "of which class is engine? annotate it"),
        ("def f(x: Any): x._config.num_layers", "of which class is x._config? annotate it"),
        ("def f(engine): return hasattr(engine, 'num_layers')", "of which class is it? annotate it"),
        ("def f(engine): engine.name", "of which class is engine? annotate it"),
        ("def f(x): x.get_tensor_mode('a')", "of which class is x? annotate it"),
        ("def f(e: trt.ICudaEngine): e.tactic_sources.bit_length()", "add it to RETURNS"),
        ("def f(e: trt.ICudaEngine, n): getattr(e, n)", "can't be checked; write it out"),
        ("def f(e: trt.ICudaEngine): getattr(e, 'num_layer', None)", "in no version of TensorRT"),
        ("def f(e: trt.ICudaEngine): hasattr(e, 'num_layer')", "in no version of TensorRT"),
        ("def f(e: trt.ICudaEngine): hasattr(e, 'num_layers')", "which every version here has"),
        ("with trt.Builder(1) as b: pass", "Builder.__enter__ is deprecated"),
        ("from tensorrt import Builder", "write trt.Builder"),
        ("import tensorrt", "call it trt"),
    ],
)
def test_a_wrong_line_is_found(blame, source, said):
    found = blame(source)
    assert len(found) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    "source",
    [
        "b = trt.Builder(trt.Logger(trt.Logger.WARNING))\nb.create_network(1 << int(trt.{})).num_input",
        "class C:\n def __init__(self, e: trt.ICudaEngine): self._e = e\n def f(self): self._e.num_input",
        "class C:\n def f(s): s._e.num_input\n def g(s): s._e = s._h()\n def _h(s) -> trt.ITensor: pass",
        "class C:\n e: trt.ITensor\ndef f(c: C): c.e.num_input",
        "def g() -> trt.ITensor: pass\ndef f(): g().num_input",
        "def f(r: trt.Runtime): return r.deserialize_cuda_engine(b'').num_input",
        "def f(es: dict[str, trt.ITensor]):\n for n, e in es.items(): e.num_input",
        "def f(es: list[trt.ITensor]): return [e.num_input for i, e in enumerate(es)]",
        "def f(e: trt.ITensor | None): return e and e.num_input",
        "def f(p: trt.OnnxParser): return [p.get_error(i).num_input for i in range(p.num_errors)]",
        "def f(e: trt.ICudaEngine):\n def g(): return e.num_input\n return g",
        "def f(e: trt.ICudaEngine): return lambda: e.num_input",
        "def f(e: trt.ICudaEngine): return f'{e.num_input}'",
        "def f(e: trt.ICudaEngine):\n try: pass\n finally: e.num_input",
        "def f(e: trt.ICudaEngine):\n match e.name:\n  case _ if e.num_input: pass",
        "def f(e: trt.ICudaEngine):\n a, b = e, 1\n a.num_input",
        "def f(e: trt.ICudaEngine):\n if (a := e): a.num_input",
        "class C:\n def __init__(self, trt): self._trt = trt\n def f(self): self._trt.num_input",
    ],
)
def test_a_wrong_name_is_found_wherever_the_value_comes_from(blame, source):
    found = blame(source.replace("{}", "NetworkDefinitionCreationFlag.STRONGLY_TYPED"))
    assert len(found) == 1, found
    assert ".num_input is in no version" in found[0]


def test_what_one_file_defines_another_may_use(blame):
    source = "def make() -> trt.ITensor: pass\nclass Held:\n    tensor: trt.ITensor"
    found = blame("from .other import Held, make\nmake().a\ndef f(held: Held): held.tensor.b", other=source)
    assert found == ["ITensor.a is in no version of TensorRT", "ITensor.b is in no version of TensorRT"]


@pytest.mark.parametrize(
    "source",
    [
        "if hasattr(c, 'max_num_tactics'): c.max_num_tactics = 3",
        "if on and hasattr(c, 'max_num_tactics'): c.max_num_tactics = 3",
        "if not hasattr(c, 'max_num_tactics'): raise ValueError\nc.max_num_tactics = 3",
        "if not hasattr(c, 'max_num_tactics'):\n    pass\nelse:\n    c.max_num_tactics = 3",
        "has = hasattr(c, 'max_num_tactics')\nif has: c.max_num_tactics = 3",
        "assert hasattr(c, 'max_num_tactics')\nc.max_num_tactics = 3",
        "n = c.max_num_tactics if hasattr(c, 'max_num_tactics') else 0",
        "n = getattr(c, 'max_num_tactics', None)",
        "if hasattr(trt.BuilderFlag, 'FP16'): c.set_flag(trt.BuilderFlag.FP16)",
        "flag = getattr(trt.BuilderFlag, 'FP16', None)",
        "if hasattr(trt, 'IStreamReaderV2'):\n    class Reader(trt.IStreamReaderV2): pass",
        "reader = trt.IStreamReaderV2 if hasattr(trt, 'IStreamReaderV2') else trt.IStreamReader",
        # Where the one is, so is the other: they came with the same version.
        "if hasattr(c, 'l2_limit_for_tiling'): c.tiling_optimization_level = trt.TilingOptimizationLevel.FAST",
    ],
)
def test_what_is_asked_for_may_be_used(blame, source):
    body = "\n".join(f"    {line}" for line in source.splitlines())
    assert blame(f"def f(c: trt.IBuilderConfig, on):\n{body}") == []


@pytest.mark.parametrize(
    "source",
    [
        "if hasattr(c, 'tiling_optimization_level'): pass\nc.max_num_tactics = 3",
        "if hasattr(c, 'max_num_tactics'): pass\nelse: c.max_num_tactics = 3",
        "if not hasattr(c, 'max_num_tactics'): c.max_num_tactics = 3",
        "if on or hasattr(c, 'max_num_tactics'): c.max_num_tactics = 3",
        "if hasattr(c, 'max_num_tactics'):\n    if on: return\nc.max_num_tactics = 3",
    ],
)
def test_a_question_covers_no_more_than_its_branch(blame, source):
    body = "\n".join(f"    {line}" for line in source.splitlines())
    found = blame(f"def f(c: trt.IBuilderConfig, on):\n{body}")
    assert len(found) == 1, found
    assert "IBuilderConfig.max_num_tactics is missing from TensorRT 10.3" in found[0]


MONITOR = """
    class Monitor(trt.IProgressMonitor):
        def __init__(self):
            trt.IProgressMonitor.__init__(self)
        def phase_start(self, phase_name, parent_phase, num_steps):
            self._told(phase_name)
        def phase_finish(self, phase_name):
            pass
        def step_complete(self, phase_name, step):
            return True
        def _told(self, text):
            pass
"""


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("phase_finish(self, phase_name)", "phase_finish(self)", "phase_finish is called with 1 arguments, not with 0"),
        ("parent_phase, num_steps", "num_steps", "phase_start is called with 3 arguments, not with 2"),
        ("def step_complete", "def _step_complete", "Monitor lacks step_complete"),
        ("_told", "told", "IProgressMonitor never calls told"),
        ("trt.IProgressMonitor.__init__(self)", "pass", "does not call IProgressMonitor's"),
        ("self._told(phase_name)", "self.tell(phase_name)", "IProgressMonitor.tell is in no version"),
    ],
)
def test_what_tensorrt_calls_must_be_as_it_calls_it(blame, old, new, said):
    assert blame(MONITOR) == []
    found = blame(MONITOR.replace(old, new))
    assert len(found) == 1, found
    assert said in found[0]


def test_right_code_passes(blame):
    source = """
    def build(path: str, options: Options) -> bytes:
        logger = trt.Logger(min_severity=trt.ILogger.Severity.ERROR)
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        if not parser.parse_from_file(path):
            raise ValueError(parser.get_error(0).desc().strip())
        config = builder.create_builder_config()
        config.builder_optimization_level = options.level
        profile = builder.create_optimization_profile()
        profile.set_shape("x", min=(1,), opt=(2,), max=(3,))
        for index in range(network.num_inputs):
            log(network.get_input(index).name.upper(), network.get_input(index).dtype.name)
        return bytes(builder.build_serialized_network(network, config))
    """
    assert blame(source) == []
