"""What the nodes of a model of ONNX Runtime took, as its profiler writes it.

Writing costs time, some of it within what it says of each node: with a thousand nodes of a few microseconds (the demo
model's UNet) a run takes twice as long; with large ones the difference is lost.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from ..errors import SessionFailed
from ..session import NodeTime

NODE, RUN = "Node", "model_run"  # a category of events, and the name of what comes after a run's nodes
KERNEL = "_kernel_time"
# What its optimizers add at the end of a name, which before that is a node's or its output's.
ADDED = re.compile(r"(/\w+/?|_nchwc|_nhwc|_token_\d+)$")


class Recorder:
    """Has a session write its profile, into a folder that lives no longer than this object.

    name: of the component, for messages.  runs: of the session, which its owner counts.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._folder = tempfile.TemporaryDirectory(prefix="aquatint-profile-")
        self._forgotten = 0
        self.runs = 0

    def begin(self, settings: Any) -> None:
        """Set the SessionOptions of the session to be."""
        settings.enable_profiling = True
        settings.profile_file_prefix = str(Path(self._folder.name) / "times")

    def forget(self) -> None:
        """Leave out all runs until now."""
        self._forgotten = self.runs

    def times(self, model: Any) -> list[NodeTime]:
        """Of the other runs.  Ends the session's profiling, so it can be asked once.

        Raises SessionFailed where runs are missing: ONNX Runtime keeps a million events and drops the others.
        """
        file = Path(model.end_profiling())
        events = json.loads(file.read_text(encoding="utf-8"))
        self.end()
        runs = _split(events)
        if len(runs) != self.runs:
            raise SessionFailed(
                f"{self._name}: ONNX Runtime kept the times of {len(runs)} of {self.runs} runs; profile fewer steps"
            )
        return _add_up(runs[self._forgotten :])

    def end(self) -> None:
        """Remove the folder and what is in it."""
        self._folder.cleanup()


def _split(events: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The nodes' events, run for run."""
    runs, current = [], []
    for event in events:
        if event["cat"] == NODE and event["name"].endswith(KERNEL):
            current.append(event)
        elif event["name"] == RUN:
            runs.append(current)
            current = []
    return runs


def _add_up(runs: list[list[dict[str, Any]]]) -> list[NodeTime]:
    """By name.  Nodes run one after another, and their inputs are not told: each has the one before it as its input."""
    calls: dict[str, int] = {}
    seconds: dict[str, float] = {}
    found: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {}
    for run in runs:
        before: tuple[str, ...] = ()
        for event in run:
            told = event["args"]
            name = event["name"].removesuffix(KERNEL) or f"{told['op_name']} {told.get('node_index', '')}".strip()
            found.setdefault(name, (told, before))
            calls[name] = calls.get(name, 0) + 1
            seconds[name] = seconds.get(name, 0.0) + event["dur"] / 1e6
            before = (name,)
    return [
        NodeTime(name, told["op_name"], _precision(told), _layers(name), before, calls[name], seconds[name])
        for name, (told, before) in found.items()
    ]


def _precision(told: dict[str, Any]) -> str | None:
    """Of the first input, or of the first output of a node that has none."""
    for key in ("input_type_shape", "output_type_shape"):
        for tensor in told.get(key, []):
            return next(iter(tensor), None)
    return None


def _layers(name: str) -> tuple[str, ...]:
    """What the name may have been before the optimizers: a node's or, of convolutions, its output's."""
    found = [name]
    while (shorter := ADDED.sub("", found[-1])) != found[-1]:
        found.append(shorter)
    return tuple(found)
