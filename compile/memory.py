"""Memory given back between components."""

from __future__ import annotations

import gc
import sys


def release_memory() -> None:
    """Return freed memory to the system, so that each component's peak starts from the ground."""
    gc.collect()
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's; musl has none
        if trim is not None:
            trim(0)
