"""A session that knows how long it ran."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from ...runtime.device.session import DeviceSession
from ...runtime.session import Session


class Clock:
    """A session that adds up its own time.  apart: it is not asked, since the device runs it by itself."""

    def __init__(self, inner: Session) -> None:
        self._inner = inner
        self.apart = isinstance(inner, DeviceSession)
        self.seconds = 0.0

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._inner.prepare(shapes)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        start = time.perf_counter()
        outputs = self._inner.run(feeds)
        self.seconds += time.perf_counter() - start
        return outputs

    def close(self) -> None:
        self._inner.close()
