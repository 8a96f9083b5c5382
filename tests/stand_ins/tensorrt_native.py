"""What the stand-in's classes share: they belong to a module, refuse unknown attributes, and write to a logger."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from .tensorrt import TensorRT


class Named(enum.Enum):
    """An enum of pybind11's: int() of it is its value, but it is no int."""

    def __int__(self) -> int:
        return int(self.value)

    __index__ = __int__


def named(name: str, members: dict[str, int], module: str) -> type[Named]:
    """An enum of these."""
    make: Any = Named
    made: type[Named] = make(name, members, module=module)
    return made


class Severity(Named):
    """As in ILogger.Severity."""

    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class Native:
    """A class of C++: nothing can be set but what it has."""

    _module: ClassVar[ModuleType]
    _here: ClassVar[TensorRT]
    _logger: Any

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and not isinstance(getattr(type(self), name, None), property):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        object.__setattr__(self, name, value)

    def _error(self, text: str) -> None:
        """Tell the logger."""
        self._logger.log(self._module.ILogger.Severity.ERROR, text)

    def _own(self, value: object, name: str) -> None:
        """Raises TypeError unless a value is of a class of this module, whose own __init__ has run."""
        kind = getattr(self._module, name)
        if not isinstance(value, kind):
            raise TypeError(f"{type(self).__name__}: incompatible argument {value!r}, which must be {name}")
        if isinstance(value, Virtual) and not value._made:
            raise TypeError(f"{name}.__init__() must be called when overriding __init__")

    @property
    def _number(self) -> tuple[int, ...]:
        """The release, (10, 14)."""
        return tuple(int(part) for part in self._module.__version__.split(".")[:2])


class Virtual:
    """A class of C++ that Python may derive from."""

    _made = False

    def __init__(self) -> None:
        self._made = True


class IHostMemory(Native):
    """Bytes; bytes() of it copies them."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def __bytes__(self) -> bytes:
        return self._content

    @property
    def nbytes(self) -> int:
        """How many."""
        return len(self._content)


def classes_of(source: ModuleType, module: ModuleType, here: TensorRT) -> Iterator[type]:
    """Those of a file, each derived once more for this module."""
    for name, found in inspect.getmembers(source, inspect.isclass):
        if issubclass(found, Native | Virtual) and found not in (Native, Virtual):
            yield type(name, (found,), {"_module": module, "_here": here, "__module__": module.__name__})
