"""Which engine, on which device: `openvino:cpu`, `ort:cpu`, `tensorrt:sm89`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import UnknownName

FORM = re.compile(r"([a-z][a-z0-9-]*):([a-z][a-z0-9.]*)")


@dataclass(frozen=True)
class Target:
    """A backend and one of its devices; for backends bound to it, the device is the architecture."""

    backend: str
    device: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read `backend:device`; the inverse of str.  Raises UnknownName where the form is another."""
        match = FORM.fullmatch(text)
        if match is None:
            raise UnknownName(f"{text!r} is no target; write backend:device, for example openvino:cpu")
        return cls(match[1], match[2])

    def __str__(self) -> str:
        return f"{self.backend}:{self.device}"
