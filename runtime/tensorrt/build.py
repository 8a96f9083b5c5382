"""Typed ONNX to a plan, for the GPU at hand."""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import BadProfile, SessionFailed
from ..manifest import Component
from ..pixels import write_whole
from ..precision import Precision
from ..session import BuildStep
from ..shapes import Shapes
from .monitor import Phases, watched
from .options import BuildOptions
from .package import Journal, journal, release
from .ranges import input_ranges

if TYPE_CHECKING:
    import tensorrt as trt

log = logging.getLogger(__name__)

BUILD_FORMAT = 1  # raise it when what is built of the same graph and options changes


def build_plan(
    trt: ModuleType,
    graph: Path,
    component: Component,
    shapes: Shapes,
    options: BuildOptions,
    portable: bool,
    timings: Path | None = None,
) -> Generator[BuildStep, None, bytes]:
    """The plan for the GPU at hand, its precision taken from the graph alone; yields the steps of the build.

    graph: typed ONNX, as targets/tensorrt.py writes it.  portable: for every GPU from Ampere on, and slower.
    timings: a file of what kernels took, which makes the next build quicker; it is read, and written anew.
    Raises SessionFailed where TensorRT refuses, BadProfile for an option that this release lacks.
    """
    start = time.perf_counter()
    said = journal(trt)
    builder = trt.Builder(said.logger)
    network = _parse(trt, builder, said, graph, component)
    config = builder.create_builder_config()
    _configure(trt, config, component, options, portable)
    _add_profiles(builder, config, network, component, shapes, options)
    cache = _use_timings(config, timings)
    phases = Phases(trt)
    config.progress_monitor = phases.monitor

    def work() -> bytes | None:
        plan = builder.build_serialized_network(network, config)
        return None if plan is None else bytes(plan)

    plan = yield from watched(work, phases)
    if plan is None:
        raise SessionFailed(f"{component.name}: TensorRT {release(trt)} can't build it: {said.take_error()}")
    if timings is not None:
        timings.parent.mkdir(parents=True, exist_ok=True)
        write_whole(timings, lambda file: file.write_bytes(bytes(cache.serialize())))
    seconds = time.perf_counter() - start
    log.info("%s: a plan of %.1f MB, %.1f s", component.name, len(plan) / 1e6, seconds)
    return plan


def _parse(
    trt: ModuleType, builder: trt.Builder, said: Journal, graph: Path, component: Component
) -> trt.INetworkDefinition:
    # From release 11 on every network is; the flag is still taken.
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, said.logger)
    if not parser.parse_from_file(str(graph)):
        errors = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        reason = " ".join((errors[0] if errors else said.take_error()).split())
        raise SessionFailed(f"{component.name}: TensorRT {release(trt)} can't read {graph.name}: {reason}")
    return network


def _configure(
    trt: ModuleType, config: trt.IBuilderConfig, component: Component, options: BuildOptions, portable: bool
) -> None:
    config.builder_optimization_level = options.optimization_level
    if options.workspace_mb is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mb << 20)
    if Precision.parse(component.precision).math == "fp32":
        config.clear_flag(trt.BuilderFlag.TF32)  # 10 bits of mantissa are not what was asked for
    if portable:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    elif options.same_capability:
        if hasattr(trt.HardwareCompatibilityLevel, "SAME_COMPUTE_CAPABILITY"):
            config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.SAME_COMPUTE_CAPABILITY
        else:
            raise BadProfile(f"tensorrt {release(trt)} has no same_capability; it needs a later release")
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        # Else the plan carries a library, which loading it would execute.
        config.set_flag(trt.BuilderFlag.EXCLUDE_LEAN_RUNTIME)
    if options.strip_weights:
        config.set_flag(trt.BuilderFlag.STRIP_PLAN)
        config.set_flag(trt.BuilderFlag.REFIT_IDENTICAL)  # kernels may rely on the weights, for the same ones come back
    if options.weight_streaming:
        config.set_flag(trt.BuilderFlag.WEIGHT_STREAMING)


def _add_profiles(
    builder: trt.Builder,
    config: trt.IBuilderConfig,
    network: trt.INetworkDefinition,
    component: Component,
    shapes: Shapes,
    options: BuildOptions,
) -> None:
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    dynamic = [given.name for given in inputs if -1 in tuple(given.shape)]
    if not dynamic:
        return
    # Engines that can be refitted, as stripped ones are, may have no more than one (NVIDIA: addOptimizationProfile).
    for ranges in input_ranges(component, shapes, one=options.strip_weights):
        profile = builder.create_optimization_profile()
        for name in dynamic:
            profile.set_shape(name, ranges[name].min, ranges[name].opt, ranges[name].max)
        if config.add_optimization_profile(profile) < 0:
            raise SessionFailed(f"{component.name}: TensorRT takes no shapes of {ranges}")


def _use_timings(config: trt.IBuilderConfig, timings: Path | None) -> trt.ITimingCache:
    """What an earlier build measured; of another GPU or release it is left alone."""
    if timings is not None and timings.is_file():
        cache = config.create_timing_cache(timings.read_bytes())
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
    cache = config.create_timing_cache(b"")
    config.set_timing_cache(cache, False)
    return cache
