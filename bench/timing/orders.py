"""Orders from the words of the command line, checked before anything slow."""

from __future__ import annotations

import json
import subprocess
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...runtime.errors import BadRequest, MissingPackage
from ...runtime.manifest import read_manifest
from ...runtime.session import require_device
from ...runtime.target import Target
from ..comparison_plan import DEMO, names_of
from .command import check_command
from .order import Kind, Order

BASELINES = tuple(kind for kind in typing.get_args(Kind) if kind != "bundle")
EXPORTED = ("optimum", "openvino-genai")
DTYPES = ("fp32", "bf16", "fp16")
CHECK_S = 60.0
INSTALL = {
    "diffusers": 'pip install "aquatint[compile]"',
    "diffusers-compile": 'pip install "aquatint[compile]"',
    "optimum": 'pip install "optimum-intel[openvino]", best in an environment of its own, and --baseline-python',
    "openvino-genai": "pip install openvino-genai, best in an environment of its own, and --baseline-python",
}


@dataclass(frozen=True)
class Machinery:
    """device: as in open_bundle.  threads: of a CPU."""

    device: str | None = None
    threads: int | None = None


def bundle_orders(folders: Sequence[Path], machinery: Machinery) -> list[Order]:
    """Raises BundleCorrupt, TargetMismatch, MissingPackage for a bundle that can't run here."""
    for folder in folders:
        target = Target.parse(read_manifest(folder).target)
        require_device(target if machinery.device is None else Target(target.backend, machinery.device))
    return [
        Order(name, "bundle", str(folder), device=machinery.device, threads=machinery.threads)
        for name, folder in zip(names_of(folders), folders, strict=True)
    ]


def baseline_orders(words: Sequence[str], checkpoint: str | None, pythons: Sequence[str], first: Order) -> list[Order]:
    """words: KIND[:DTYPE][=FOLDER] each.  checkpoint: for those without a folder.  pythons: PATH, or KIND=PATH.

    first: the bundle that they are compared with.
    Raises BadRequest for a word that is none, or a folder that is missing; MissingPackage.
    """
    environments = _environments(pythons)
    return [_baseline(word, checkpoint, environments, first) for word in words]


def checkpoint_of(bundle: Path) -> str | None:
    """The folder that a bundle was compiled from, where it is still there."""
    source = read_manifest(bundle).model.source
    if source == DEMO:
        from ...demo import MODEL

        return str(MODEL)
    return source if (Path(source) / "model_index.json").is_file() else None


def _baseline(word: str, checkpoint: str | None, environments: dict[str, str], first: Order) -> Order:
    head, _, folder = word.partition("=")
    kind, _, dtype = head.partition(":")
    if kind not in BASELINES or dtype not in ("", *DTYPES):
        raise BadRequest(
            f"--baseline is {word!r}; it is KIND, KIND:DTYPE or KIND:DTYPE=FOLDER with KIND one of "
            f"{', '.join(BASELINES)} and DTYPE one of {', '.join(DTYPES)}"
        )
    if not folder and kind in EXPORTED:
        raise BadRequest(f"--baseline {kind} needs what Optimum exported: --baseline {head}=FOLDER")
    if not folder and checkpoint is None:
        raise BadRequest(
            f"--baseline {kind} needs the checkpoint that the bundle was compiled from: --checkpoint FOLDER"
        )
    target = Target.parse(read_manifest(Path(first.folder)).target)
    on_cuda = target.backend == "tensorrt" or str(target) == "ort:cuda"
    usual = dtype or ("fp32" if kind.startswith("diffusers") and not on_cuda else "fp16" if on_cuda else "")
    order = Order(
        " ".join(filter(None, (kind, usual))), typing.cast(Kind, kind), folder or str(checkpoint), usual or None,
        "cuda" if on_cuda else first.device, first.threads, environments.get(kind, environments.get("")),
    )  # fmt: skip
    _check(order)
    return order


def _environments(pythons: Sequence[str]) -> dict[str, str]:
    """Kind -> interpreter; "" for all others."""
    found = {}
    for word in pythons:
        kind, equals, path = word.partition("=")
        kind, path = (kind, path) if equals and kind in BASELINES else ("", word)
        if not Path(path).is_file():
            raise BadRequest(f"--baseline-python is {word!r}; there is no interpreter {path}")
        found[kind] = path
    return found


def _check(order: Order) -> None:
    try:
        told = subprocess.run(check_command(order), capture_output=True, text=True, timeout=CHECK_S)
        said = json.loads(told.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as reason:
        raise BadRequest(
            f"--baseline-python {order.python} is no interpreter that runs our worker: {reason}"
        ) from reason
    if "missing" in said:
        raise MissingPackage(f"--baseline {order.kind}: {said['missing']}; {INSTALL[order.kind]}")
    if "error" in said:
        raise BadRequest(f"--baseline {order.kind}: {said['error']}")
