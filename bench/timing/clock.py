"""A session that knows how long it ran."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

from ...runtime.device.session import DeviceSession
from ...runtime.session import Session


class Clock:
    """A session that counts its calls and adds up their time.

    apart: it is not asked, since the device runs it by itself.  shapes: of the last call's inputs.
    """

    def __init__(self, inner: Session, name: str) -> None:
        self._inner, self._name = inner, name
        self._entering: Callable[[str], None] | None = None
        self.apart = isinstance(inner, DeviceSession)
        self.seconds, self.calls = 0.0, 0
        self.shapes: dict[str, tuple[int, ...]] = {}

    def restart(self, entering: Callable[[str], None] | None = None) -> None:
        """Begin at 0.  entering: told the component's name before it runs for the first time from now on."""
        self.seconds, self.calls, self._entering = 0.0, 0, entering

    def prepare(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._inner.prepare(shapes)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if self._entering is not None:
            self._entering(self._name)
            self._entering = None
        start = time.perf_counter()
        outputs = self._inner.run(feeds)
        self.seconds += time.perf_counter() - start
        self.calls += 1
        self.shapes = {name: array.shape for name, array in feeds.items()}
        return outputs

    def close(self) -> None:
        self._inner.close()
