"""How a subject's process is started."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ...runtime.record import to_table
from .call import Call
from .order import Order

BASELINE = Path(__file__).parent.parent / "baselines" / "worker.py"
# The worker's folder must not be searched for modules: its environment may have no aquatint, and need not hide others'.
RUN = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"


def command_of(order: Order, call: Call) -> list[str]:
    """call: the first to come, for engines that want to know sizes when they load."""
    if order.kind == "bundle":
        # -P: modules are not looked for in the folder that the user happens to be in.
        return [sys.executable, "-P", "-m", f"{__package__}.worker", _json(order)]
    return [*_baseline(order), _json(order), _json(call)]


def check_command(order: Order) -> list[str]:
    """Looks whether a baseline has what it needs, and says {"packages": ...} or {"error": why}."""
    return [*_baseline(order), "check", _json(order)]


def _baseline(order: Order) -> list[str]:
    return [order.python or sys.executable, "-c", RUN, str(BASELINE)]


def _json(record: Order | Call) -> str:
    return json.dumps(to_table(record))
