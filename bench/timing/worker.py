"""One bundle in a process of its own, which prints a picture whenever it is asked to.

python -m aquatint.bench.timing.worker ORDER, with the order as JSON; see protocol.py for what is said then.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from typing import Any, TextIO

from ...runtime.bundle import open_bundle
from ...runtime.errors import BadRequest, Error
from ...runtime.record import from_table, to_table
from ...runtime.session import EngineOptions, backend
from .measured import Opened
from .order import Order
from .picture import Photographer
from .protocol import DEVICE_MEMORY, SHAPES, Ask


def main(text: str) -> None:
    """Open the bundle, then answer; ends with the input."""
    out = _own_output()
    try:
        order = from_table(Order, json.loads(text), "the order", ValueError)
        start = time.perf_counter()
        bundle = open_bundle(order.folder, device=order.device, options=EngineOptions(threads=order.threads))
        photographer = Photographer(bundle)
        load_s = time.perf_counter() - start
        engine = backend(bundle.target)
        packages = {"aquatint": importlib.metadata.version("aquatint"), **engine.versions()}
        _say(out, to_table(Opened(load_s, str(bundle.target), bundle.manifest.profile, packages)))
        for line in sys.stdin:
            if line.strip() == DEVICE_MEMORY:
                _say(out, engine.device_memory(bundle.target.device))
            elif line.strip() == SHAPES:
                _say(out, photographer.shapes())
            else:
                _say(out, _answer(photographer, from_table(Ask, json.loads(line), "the ask", ValueError), out))
        photographer.close()
    except (Error, ValueError, MemoryError) as wrong:
        _say(out, {"error": str(wrong) or type(wrong).__name__})
        sys.exit(1)


def _answer(photographer: Photographer, ask: Ask, out: TextIO) -> Any:
    def entering(name: str) -> None:
        _say(out, {"entering": name})
        sys.stdin.readline()

    try:
        sample, images = photographer.take(ask.call, entering if ask.stages else None)
    except BadRequest as wrong:
        return {"refused": str(wrong)}
    if ask.save is not None:
        images[0].save(ask.save)
    return to_table(sample)


def _own_output() -> TextIO:
    """Stdout for our lines alone: whatever else prints there goes to stderr."""
    mine = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return mine


def _say(out: TextIO, table: Any) -> None:
    out.write(json.dumps(table) + "\n")
    out.flush()


if __name__ == "__main__":
    main(sys.argv[1])
