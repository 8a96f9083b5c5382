"""The package tensorrt: imported, asked for its release, its log led into ours."""

from __future__ import annotations

import functools
import logging
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import MissingPackage

if TYPE_CHECKING:
    import tensorrt as trt

log = logging.getLogger(__name__)

OLDEST = (10, 3)  # what the contract tests hold our calls against; JetPack 6 has it
INSTALL = 'pip install "aquatint[tensorrt]"; a Jetson has it with JetPack'


def package() -> ModuleType:
    """The module tensorrt.  Raises MissingPackage where it is not installed, broken or too old."""
    try:
        import tensorrt as trt
    except ImportError as reason:
        absent = isinstance(reason, ModuleNotFoundError) and (reason.name or "").split(".")[0] == "tensorrt"
        why = "" if absent else f", which is installed and fails ({reason})"
        raise MissingPackage(f"this needs tensorrt{why}; {INSTALL}") from reason
    return _recent(trt)


def lean_package() -> ModuleType:
    """The module tensorrt_lean, which runs version-compatible plans and builds nothing.  Raises MissingPackage."""
    try:
        import tensorrt_lean as trt
    except ImportError as reason:
        raise MissingPackage(
            "a version-compatible plan needs tensorrt_lean, of the release that built it; pip install tensorrt-lean"
        ) from reason
    return _recent(trt)


def either_package() -> ModuleType:
    """Whichever of the two is here, the full one first.  Raises MissingPackage."""
    try:
        return package()
    except MissingPackage as reason:
        try:
            return lean_package()
        except MissingPackage:
            raise reason from None


def release(trt: ModuleType) -> str:
    """Such as "10.14.1.48"."""
    return str(trt.__version__)


def release_number(version: str) -> tuple[int, ...]:
    """(10, 14, 1) of "10.14.1.48": what plans are bound to."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())


@functools.cache
def journal(trt: ModuleType) -> Journal:
    """The one of the process: TensorRT keeps the first logger that it is given for all, as long as it lives."""
    return Journal(trt)


class Journal:
    """What TensorRT said: its warnings and errors go to our log, and the last error into our messages."""

    logger: trt.ILogger

    def __init__(self, trt: ModuleType) -> None:
        self._last_error = ""
        ours = self

        class Logger(trt.ILogger):  # type: ignore[name-defined]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: object, msg: str) -> None:
                if severity == trt.ILogger.ERROR or severity == trt.ILogger.INTERNAL_ERROR:
                    ours.note(msg)
                elif severity == trt.ILogger.WARNING:
                    log.info("TensorRT warns: %s", msg)

        self.logger = Logger()

    def note(self, message: str) -> None:
        """Keep an error."""
        self._last_error = " ".join(message.split())
        log.info("TensorRT: %s", message)

    def take_error(self) -> str:
        """The last error since the last asking."""
        taken, self._last_error = self._last_error, ""
        return taken


def _recent(trt: ModuleType) -> ModuleType:
    if release_number(release(trt)) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise MissingPackage(f"tensorrt {release(trt)} is too old: this needs {oldest} or later; {INSTALL}")
    return trt
