"""What a scheme is: a file in schemes/, found by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, cast

from ..runtime import lookup
from .activations import Activation
from .layers import Layer

if TYPE_CHECKING:
    import onnx_ir as ir

SCHEMES = f"{__package__}.schemes"
NONE = "none"  # the name of leaving a layer in floats

Settings = Mapping[str, Any]


class Scheme(Protocol):
    """What every module in schemes/ has.

    BITS: per weight with the settings as they come, scales included, for a layer of usual size.
    OPSET: the first that can say it.  FALLBACK: the scheme for a layer that can't have this one.
    SETTINGS: every setting with its default.
    """

    NAME: str
    DESCRIPTION: str
    BITS: float
    KINDS: tuple[str, ...]
    OPSET: int
    FALLBACK: str
    SETTINGS: Settings

    def check(self, settings: Settings) -> None:
        """Raises BadProfile for a value that no layer could have."""

    def calibrated(self, settings: Settings) -> bool:
        """Whether it asks what the layer is given."""

    def settle(self, layer: Layer, settings: Settings) -> tuple[Settings, str]:
        """What the layer gets of the settings, and why not all of it; the reason is empty where it gets all."""

    def refusal(self, layer: Layer, settings: Settings) -> str | None:
        """Why this layer can't have the scheme, or None."""

    def size_bytes(self, layer: Layer, settings: Settings) -> int:
        """What the layer's weight takes, scales included."""

    def quantize(self, model: ir.Model, layer: Layer, settings: Settings, activation: Activation | None) -> None:
        """Put codes and scales in place of the layer's weight.

        activation: what the layer is given, never None where the scheme is `calibrated`.
        Raises BadModel for NaN and infinity.
        """


def names() -> tuple[str, ...]:
    """The schemes, as found on disk, and "none"."""
    return (NONE, *(name.replace("_", "-") for name in lookup.names(SCHEMES)))


def find_scheme(name: str) -> Scheme:
    """The module in quantize/schemes.  Raises UnknownName, which lists those that exist."""
    return cast(Scheme, lookup.find(SCHEMES, name, "scheme"))
