"""Plans, run on device memory: what they compute, what is recorded, whose scratch it is, and what is given back."""

import gc
import logging

import numpy as np
import pytest

from aquatint.runtime.errors import SessionFailed
from aquatint.runtime.session import EngineOptions
from aquatint.runtime.tensorrt.network import TensorRTNetwork
from aquatint.runtime.tensorrt.options import BuildOptions
from aquatint.runtime.tensorrt.package import package
from aquatint.runtime.tensorrt.plan import RESERVE, open_plan

NAMES = ("text_encoder", "unet", "vae_decoder", "vae_encoder")


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_computes_what_its_graph_says(plans, name):
    session = plans.open(name)
    for seed in range(3):
        plans.agree(session, name, seed=seed)


def test_one_plan_runs_with_and_without_guidance_and_on_long_prompts(plans):
    session = plans.open("unet")
    for rows, tokens in ((2, 77), (1, 77), (2, 231), (1, 308), (2, 77)):
        plans.agree(session, "unet", batch=rows, tokens=tokens)


def test_what_the_plan_was_not_built_for_is_refused(plans):
    session = plans.open("unet")
    with pytest.raises(SessionFailed, match=r"^unet: the plan was not built for .*\(3, 4, 8, 8\)"):
        session.run(plans.feeds("unet", batch=3))


def test_every_size_of_a_list_runs_on_its_own_profile(plans, sizes, memory):
    network, session = plans.network("vae_decoder", memory, shapes=sizes)
    plans.agree(session, "vae_decoder", height=64, width=64)
    plans.agree(session, "vae_decoder", height=64, width=96)
    used = [ready.context.active_optimization_profile for ready in network._prepared.values()]
    assert used == [0, 1]


def test_tiles_of_the_vae_run_on_the_last_profile(plans, sizes, memory):
    network, session = plans.network("vae_decoder", memory, shapes=sizes)
    plans.agree(session, "vae_decoder", height=8, width=40)
    assert [ready.context.active_optimization_profile for ready in network._prepared.values()] == [2]


def test_the_first_run_is_done_and_the_second_is_recorded(plans, gpu):
    session = plans.open("unet")
    feeds = plans.feeds("unet")
    session.run(feeds)
    assert (len(gpu.recorded), gpu.launches) == (0, 0)
    for launches in (1, 2, 3):
        plans.agree(session, "unet", seed=launches)
        assert (len(gpu.recorded), gpu.launches) == (1, launches)


def test_each_size_has_a_recording_of_its_own(plans, gpu):
    session = plans.open("unet")
    for rows in (1, 2, 1, 2, 1):
        plans.agree(session, "unet", batch=rows)
    assert (len(gpu.recorded), gpu.launches) == (2, 3)


def test_without_graphs_nothing_is_recorded(plans, gpu):
    session = plans.open("unet", engine=EngineOptions(graphs=False))
    for _ in range(3):
        plans.agree(session, "unet")
    assert (len(gpu.recorded), gpu.launches) == (0, 0)


def test_a_device_that_records_nothing_computes_all_the_same(plans, gpu, trt, caplog):
    trt.capturable = False
    session = plans.open("unet")
    with caplog.at_level(logging.INFO):
        for seed in range(4):
            plans.agree(session, "unet", seed=seed)
    assert (len(gpu.recorded), gpu.launches) == (0, 0)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    refusals = [text for text in said if text.startswith("unet: runs without a CUDA graph: ")]
    assert len(refusals) == 1
    assert "not permitted when stream is capturing" in refusals[0]


def test_a_stream_that_records_nothing_computes_all_the_same(plans, gpu):
    gpu.capturable = False
    session = plans.open("unet")
    for seed in range(3):
        plans.agree(session, "unet", seed=seed)
    assert gpu.launches == 0


def test_all_networks_share_the_scratch_of_the_largest(plans, gpu, memory):
    opened = {name: plans.network(name, memory) for name in NAMES}
    for name, (_, session) in opened.items():
        plans.agree(session, name)
    sizes = {name: network.scratch_bytes for name, (network, _) in opened.items()}
    assert len(set(sizes.values())) > 1
    assert memory._scratch.size_bytes == max(sizes.values())
    weights = gpu.held_bytes(owner="tensorrt weights")
    buffers = sum(
        array.size_bytes
        for _, session in opened.values()
        for kept in session._kept.values()
        for array in (*kept.inputs.values(), *kept.outputs.values())
    )
    assert gpu.held_bytes() == weights + buffers + max(sizes.values())


def test_a_recording_is_made_anew_where_the_scratch_has_moved(plans, gpu, memory):
    network, session = plans.network("text_encoder", memory)
    for seed in range(3):
        plans.agree(session, "text_encoder", seed=seed)
    assert (len(gpu.recorded), gpu.launches) == (1, 2)
    before = memory._scratch.address
    memory.scratch("another", 1 << 20)
    assert memory._scratch.address != before
    for seed in range(3):
        plans.agree(session, "text_encoder", seed=seed)
    assert (len(gpu.recorded), gpu.launches) == (1, 4)  # the first run on the new memory is not recorded
    assert next(iter(network._prepared.values())).scratch == memory._scratch.address


def test_networks_that_take_turns_write_over_each_others_scratch_alone(plans, memory):
    opened = {name: plans.network(name, memory)[1] for name in NAMES}
    for seed in range(3):
        for name, session in opened.items():
            plans.agree(session, name, seed=seed)


def test_closing_gives_back_all_memory(plans, gpu, trt, memory):
    sessions = [plans.network(name, memory)[1] for name in NAMES]
    for name, session in zip(NAMES, sessions, strict=True):
        plans.agree(session, name)
        plans.agree(session, name)
    for session in sessions:
        session.close()
    del session, sessions
    gc.collect()
    assert gpu.held_bytes() == 0
    assert not gpu.recorded
    assert not gpu.graphs
    assert not list(trt.engines)


def test_closing_gives_back_the_weights_at_once(plans, gpu):
    session = plans.open("unet")
    plans.agree(session, "unet")
    assert gpu.held_bytes(owner="tensorrt weights") > 0
    session.close()
    assert gpu.held_bytes() == 0


def test_a_set_of_buffers_that_goes_takes_its_recording_along(plans, gpu):
    session = plans.open("unet")
    for width in (1, 2, 3, 4):
        for _ in range(2):
            plans.agree(session, "unet", tokens=77 * width)
    assert len(gpu.recorded) == 4
    session._drop(next(iter(session._kept)))
    assert len(gpu.recorded) == 3


def test_a_plan_of_another_network_is_refused(plans, memory):
    plan, _ = plans.build("vae_decoder")
    said = r"^unet: vae_decoder\.plan has the tensors .*latent_sample.*, not .*encoder_hidden_states"
    with pytest.raises(SessionFailed, match=said):
        TensorRTNetwork(package(), plan, plans.part("unet"), memory)


def test_a_plan_that_makes_shapes_of_its_inputs_is_refused(plans, trt, memory):
    plan, part = plans.build("text_encoder")
    trt.shape_inputs = frozenset(["clip_skip"])
    with pytest.raises(SessionFailed, match=r"^text_encoder: TensorRT makes shapes of clip_skip, which it must not$"):
        TensorRTNetwork(package(), plan, part, memory)


@pytest.mark.parametrize("kept", [1, 10, 100, -1])
def test_a_plan_that_is_cut_short_is_refused(plans, memory, kept):
    plan, part = plans.build("unet")
    content = plan.read_bytes()
    plan.write_bytes(content[:kept] if kept >= 0 else content[:-1])
    with pytest.raises(SessionFailed, match=r"^unet: TensorRT 10\.14\.1\.48 can't load unet\.plan: .*"):
        TensorRTNetwork(package(), plan, part, memory)


def test_a_plan_that_does_not_fit_says_what_tensorrt_says(plans, gpu, memory):
    plan, part = plans.build("unet")
    gpu.others_bytes = gpu.free_bytes - 1000
    with pytest.raises(SessionFailed, match=r"^unet: TensorRT 10\.14\.1\.48 can't load unet\.plan: .*out of memory"):
        TensorRTNetwork(package(), plan, part, memory)


def test_a_stripped_plan_computes_nonsense_without_its_weights(plans, memory):
    plan, part = plans.build("unet", BuildOptions(strip_weights=True))
    network = TensorRTNetwork(package(), plan, part, memory)
    feeds = plans.feeds("unet")
    from aquatint.runtime.device.session import DeviceSession

    assert np.isnan(DeviceSession(network, part, memory).run(feeds)["out_sample"]).any()


def test_a_stripped_plan_takes_its_weights_from_the_graph(plans):
    session = plans.open("unet", BuildOptions(strip_weights=True))
    for seed in range(3):
        plans.agree(session, "unet", seed=seed)


def test_a_stripped_plan_counts_the_weights_that_it_will_have(plans):
    _, part = plans.build("unet", BuildOptions(strip_weights=True))
    data = plans.graph("unet").with_name("model.onnx.data")
    assert part.memory["weights_bytes"] >= data.stat().st_size


def test_a_stripped_plan_without_its_graph_says_so(plans, memory, tmp_path):
    plan, part = plans.build("unet", BuildOptions(strip_weights=True))
    with pytest.raises(
        SessionFailed, match=r"^unet: TensorRT can't put the weights of gone\.onnx back into the plan: "
    ):
        TensorRTNetwork(package(), plan, part, memory, weights=tmp_path / "gone.onnx")


def test_weights_of_another_network_are_refused(plans, memory):
    plan, part = plans.build("unet", BuildOptions(strip_weights=True))
    with pytest.raises(
        SessionFailed, match=r"^unet: TensorRT can't put the weights of model\.onnx back into the plan: "
    ):
        TensorRTNetwork(package(), plan, part, memory, weights=plans.graph("vae_decoder"))


def test_streamed_weights_stay_within_their_budget(plans, gpu, memory, caplog):
    plan, part = plans.build("unet", BuildOptions(weight_streaming=True))
    with caplog.at_level(logging.INFO):
        network = TensorRTNetwork(package(), plan, part, memory, weights_budget=100_000)
    assert gpu.held_bytes(owner="tensorrt weights") == 100_000
    assert "unet: keeps 0 of 1 MB of weights on the GPU and streams the others" in caplog.text
    # Streaming takes scratch of its own, beside what the manifest says.
    assert network.scratch_bytes > part.memory["scratch_bytes"]


def test_a_plan_that_streams_its_weights_computes_all_the_same(plans, gpu):
    session = plans.open("unet", BuildOptions(weight_streaming=True), EngineOptions(device_memory_mb=0))
    for seed in range(3):
        plans.agree(session, "unet", seed=seed)
    # NVIDIA: where weights are streamed, an execution waits, and can't be captured.
    assert gpu.launches == 0


def test_weights_that_fit_are_not_streamed(plans, gpu):
    session = plans.open("unet", BuildOptions(weight_streaming=True))
    for seed in range(3):
        plans.agree(session, "unet", seed=seed)
    assert gpu.launches == 2


def test_what_little_memory_is_free_is_the_budget(plans, gpu):
    plan, part = plans.build("unet", BuildOptions(weight_streaming=True))
    gpu.others_bytes = gpu.free_bytes - RESERVE - part.memory["scratch_bytes"] - 200_000
    session = open_plan(plan, part, EngineOptions(), plans.graph("unet"))
    assert gpu.held_bytes(owner="tensorrt weights") == 200_000
    plans.agree(session, "unet")


def test_tensorrts_own_reason_is_told(plans, gpu, trt):
    session = plans.open("unet")
    feeds = plans.feeds("unet")
    session.run(feeds)
    gpu.last_error = "cudaErrorLaunchFailure"
    with pytest.raises(SessionFailed, match=r"^unet: TensorRT failed while running: .*cudaErrorLaunchFailure"):
        session.run(feeds)


def test_a_first_run_that_failed_is_made_up_for_before_anything_is_recorded(plans, gpu):
    session = plans.open("unet")
    gpu.last_error = "cudaErrorLaunchFailure"
    with pytest.raises(SessionFailed):
        session.run(plans.feeds("unet"))
    gpu.last_error = None
    for seed in range(3):
        plans.agree(session, "unet", seed=seed)
    assert (len(gpu.recorded), gpu.launches) == (1, 2)
