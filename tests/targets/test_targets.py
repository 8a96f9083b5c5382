"""Backends by name, and the choice among them."""

import pytest

from aquatint.runtime import session
from aquatint.runtime.errors import BadProfile, MissingPackage, UnknownName
from aquatint.runtime.lookup import names as lookup_names
from aquatint.runtime.shapes import Shapes
from aquatint.runtime.target import Target
from aquatint.targets import PREFERENCE, all_targets, backend, choose, in_words, names, nearest, widest
from aquatint.targets.order import Order

SIZES = Shapes(((64, 64),))


@pytest.fixture
def machine(monkeypatch):
    """A machine with these devices; a backend that is not named is not installed."""

    def put(**devices):
        def here(target):
            if target.backend not in devices:
                raise MissingPackage(f"no {target.backend}")
            return dict.fromkeys(devices[target.backend], "a name")

        monkeypatch.setattr(session, "devices", here)

    return put


def test_the_issues_targets_are_there():
    assert {"ort:cpu", "openvino:cpu", "openvino:gpu", "openvino:npu"} <= set(all_targets())


def test_every_backend_stands_on_both_sides_of_the_line():
    assert names() == lookup_names("aquatint.runtime.sessions")


@pytest.mark.parametrize("word", all_targets())
def test_every_target_has_a_builder_that_checks_and_builds(word):
    module = backend(Target.parse(word))
    assert callable(module.check)
    assert callable(module.build)


@pytest.mark.parametrize("target", PREFERENCE)
def test_whatever_auto_may_take_has_a_reason(target):
    assert backend(target).WHY[target.device]


@pytest.mark.parametrize("word", ["abacus:cpu", "ort:npu", "openvino:tpu"])
def test_an_unknown_backend_or_device_lists_every_target(word):
    with pytest.raises(UnknownName, match=", ".join(all_targets())):
        backend(Target.parse(word))


@pytest.mark.parametrize(
    "devices, chosen",
    [
        ({"openvino": ["cpu", "gpu"], "ort": ["cpu"]}, "openvino:gpu"),
        ({"openvino": ["cpu", "npu"], "ort": ["cpu"]}, "openvino:cpu"),
        ({"ort": ["cpu"]}, "ort:cpu"),
        ({"openvino": [], "ort": ["cpu"]}, "ort:cpu"),
    ],
)
def test_auto_takes_the_best_that_is_here(machine, devices, chosen):
    machine(**devices)
    assert str(choose()[0]) == chosen


def test_without_an_engine_auto_says_what_to_install(machine):
    machine()
    with pytest.raises(MissingPackage, match=r'pip install "aquatint\[openvino\]" or "aquatint\[ort\]"'):
        choose()


@pytest.mark.parametrize(
    "word, on_device, nearest_word",
    [
        ("openvino:gpu", False, "openvino:gpu"),
        ("openvino:npu", False, "openvino:cpu"),
        ("tensorrt:any", True, "ort:cpu"),
    ],
)
def test_the_nearest_device_is_its_own_or_the_engines_cpu(machine, word, on_device, nearest_word):
    machine(openvino=["cpu", "gpu"], ort=["cpu"])
    assert str(nearest(Order(Target.parse(word), SIZES, on_device=on_device))) == nearest_word


def test_what_a_device_builds_is_verified_on_the_gpu_where_one_is(machine):
    machine(ort=["cpu", "cuda"])
    assert str(nearest(Order(Target("tensorrt", "any"), SIZES, on_device=True))) == "ort:cuda"


@pytest.mark.parametrize("word", ["tensorrt:sm89", "tensorrt:any"])
def test_the_widest_target_of_tensorrt_is_every_gpu_since_ampere(word):
    assert widest(word) == "tensorrt:ampere"


def test_other_backends_have_no_wider_target():
    with pytest.raises(BadProfile, match="what is built for openvino:cpu is not bound"):
        widest("openvino:cpu")


@pytest.mark.parametrize("word", ["openvino:cpu", "ort:cpu"])
def test_only_tensorrt_is_built_on_the_device(word):
    target = Target.parse(word)
    with pytest.raises(BadProfile, match=f"--build-on-device is for tensorrt; {target.backend} runs its artifacts"):
        backend(target).ready(Order(target, SIZES, on_device=True))


def test_several_targets_are_said_in_short():
    found = [Target("openvino", "cpu"), Target("openvino", "gpu"), *map(Target.parse, all_targets()[-13:])]
    assert in_words(found) == "openvino:cpu, gpu; tensorrt"
