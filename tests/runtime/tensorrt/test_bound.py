"""Which plans a machine can run, told before one is opened."""

import re
from dataclasses import replace

import pytest

from aquatint.runtime.cuda.device import Gpu, first_gpu
from aquatint.runtime.errors import MissingPackage, TargetMismatch
from aquatint.runtime.manifest import Bound, Component
from aquatint.runtime.session import EngineOptions
from aquatint.runtime.tensorrt.bound import bound_to, check_bound, devices_of
from aquatint.runtime.tensorrt.options import BuildOptions
from aquatint.runtime.tensorrt.package import lean_package, package
from aquatint.runtime.tensorrt.plan import open_plan
from aquatint.tests.stand_ins.machine import Card

ADA, TURING = Gpu(0, "RTX 4090", "sm89", 1), Gpu(0, "T4", "sm75", 1)
AGAIN = "compile with --target tensorrt:sm89 on a machine like this one, or once with --build-on-device for all"


def plan_of(device="sm89", version="10.14.1.48", package="tensorrt"):
    return Component("unet", "unet/unet.plan", "fp16", (), (), bound=Bound(device, {package: version}))


def refusal(part, gpu=ADA, here="10.14.1.48"):
    with pytest.raises(TargetMismatch) as caught:
        check_bound(part, gpu, here)
    return str(caught.value)


def test_a_gpu_serves_its_own_architecture_and_what_is_built_for_any():
    assert devices_of(ADA) == {"sm89": "RTX 4090", "any": "RTX 4090", "ampere": "RTX 4090"}
    assert devices_of(TURING) == {"sm75": "T4", "any": "T4"}
    assert "ampere" in devices_of(Gpu(0, "B200", "sm100", 1))
    assert next(iter(devices_of(ADA))) == "sm89"


@pytest.mark.parametrize("part", [plan_of(), plan_of("ampere"), plan_of(version="10.14.1.3")])
def test_plans_for_this_gpu_and_release_are_admitted(part):
    check_bound(part, ADA, "10.14.1.48")


def test_a_plan_of_another_gpu_is_refused():
    said = refusal(plan_of("sm86"))
    assert said == f"unet/unet.plan was built for GPUs of sm86, this is RTX 4090 (sm89); {AGAIN}"


def test_a_portable_plan_is_refused_before_ampere():
    said = refusal(plan_of("ampere"), TURING)
    assert said.startswith("unet/unet.plan was built for GPUs from Ampere (sm80) on, this is T4 (sm75); compile with ")


@pytest.mark.parametrize("here", ["10.13.3.9", "10.14.2.1", "11.0.0.1"])
def test_a_plan_of_another_release_is_refused(here):
    assert (
        refusal(plan_of(), here=here) == f"unet/unet.plan needs tensorrt 10.14.1.48, this machine has {here}; {AGAIN}"
    )


@pytest.mark.parametrize("here", ["10.9.0.1", "10.15.0.1", "11.1.0.0"])
def test_a_version_compatible_plan_needs_the_lean_runtime_of_its_release(here):
    part = plan_of(package="tensorrt_lean")
    check_bound(part, ADA, "10.14.1.48")
    words = f'needs tensorrt_lean 10.14.1.48, this machine has {here}; pip install "tensorrt-lean==10.14.1.48"'
    assert refusal(part, here=here) == f"unet/unet.plan {words}"


def test_a_manifest_that_does_not_say_is_refused():
    said = refusal(Component("unet", "unet/unet.plan", "fp16", (), ()))
    assert said == "unet: the manifest does not say what unet/unet.plan was built for"


def test_a_plan_says_what_it_is_bound_to(trt):
    options = BuildOptions(version_compatible=True, workspace_mb=100)
    bound = bound_to(package(), first_gpu(), options, portable=True)
    assert (bound.device, bound.versions) == ("ampere", {"tensorrt_lean": "10.14.1.48"})
    assert bound.options["workspace_mb"] == 100
    assert bound.options["gpu"] == "NVIDIA GeForce RTX 4090"
    assert bound_to(package(), first_gpu(), BuildOptions(), portable=False).device == "sm89"


@pytest.mark.parametrize(
    "card, version, said",
    [
        (Card("RTX 3090", 8, 6), "10.14.1.48", "was built for GPUs of sm89, this is RTX 3090 (sm86)"),
        (Card("RTX 4090", 8, 9), "10.15.0.1", "needs tensorrt 10.14.1.48, this machine has 10.15.0.1"),
    ],
)
def test_a_plan_of_another_machine_is_refused_before_it_is_opened(plans, gpu, trt, card, version, said):
    plan, part = plans.build("unet")
    plan.write_bytes(b"what TensorRT must not see")
    gpu.cards = [card]
    trt.install(version)
    with pytest.raises(TargetMismatch, match=re.escape(said)):
        open_plan(plan, part, EngineOptions(), plans.graph("unet"))


def test_a_portable_plan_runs_on_another_gpu(plans, gpu):
    plan, part = plans.build("unet", portable=True)
    gpu.cards = [Card("A100", 8, 0)]
    plans.agree(open_plan(plan, part, EngineOptions(), plans.graph("unet")), "unet")


@pytest.mark.parametrize("later", ["10.14.1.48", "11.1.0.5"])
def test_a_version_compatible_plan_runs_by_its_own_lean_runtime_beside_any_release(plans, trt, later):
    plan, part = plans.build("unet", BuildOptions(version_compatible=True))
    trt.install(later, lean="10.14.1.48")
    trt.uninstall("tensorrt")  # the lean runtime is all that is needed
    session = open_plan(plan, part, EngineOptions(), plans.graph("unet"))
    for seed in range(3):
        plans.agree(session, "unet", seed=seed)


def test_a_version_compatible_plan_is_refused_by_a_later_lean_runtime_before_it_is_opened(plans, trt):
    plan, part = plans.build("unet", BuildOptions(version_compatible=True))
    trt.install("11.1.0.5")
    with pytest.raises(TargetMismatch):
        open_plan(plan, part, EngineOptions(), plans.graph("unet"))


def test_a_version_compatible_plan_needs_the_lean_runtime(plans, trt):
    plan, part = plans.build("unet", BuildOptions(version_compatible=True))
    trt.uninstall("tensorrt_lean")
    with pytest.raises(MissingPackage, match=r"^a version-compatible plan needs tensorrt_lean"):
        open_plan(plan, part, EngineOptions(), plans.graph("unet"))


def test_a_missing_package_says_where_it_comes_from(trt):
    trt.uninstall("tensorrt")
    with pytest.raises(MissingPackage, match=r'^this needs tensorrt.*; pip install "aquatint\[tensorrt\]"'):
        package()


@pytest.mark.parametrize("find", [package, lean_package])
def test_a_release_that_is_too_old_says_which_would_do(trt, find):
    trt.install("10.2.0.1")
    with pytest.raises(MissingPackage, match=r"^tensorrt 10\.2\.0\.1 is too old: this needs 10\.3 or later"):
        find()


def test_bounds_of_the_manifest_are_those_of_the_plan(plans):
    _, part = plans.build("unet")
    check_bound(part, first_gpu(), package().__version__)
    assert replace(part, bound=None, memory={}, artifact=plans.part("unet").artifact) == plans.part("unet")
