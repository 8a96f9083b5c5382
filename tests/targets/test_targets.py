"""Backends by name, and the choice among them."""

import pytest

from aquatint.runtime import session
from aquatint.runtime.errors import MissingPackage, UnknownName
from aquatint.runtime.lookup import names as lookup_names
from aquatint.runtime.target import Target
from aquatint.targets import PREFERENCE, all_targets, backend, choose, names, nearest


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


def test_the_nearest_device_is_its_own_or_the_engines_cpu(machine):
    machine(openvino=["cpu", "gpu"])
    assert str(nearest(Target("openvino", "gpu"))) == "openvino:gpu"
    assert str(nearest(Target("openvino", "npu"))) == "openvino:cpu"
