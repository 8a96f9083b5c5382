"""A bundle on disk: opened, checked against its manifest and this machine."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path

from . import lookup
from .errors import BundleCorrupt, TargetMismatch
from .manifest import NAME, Component, Manifest, read_manifest
from .pipeline import Pipeline
from .session import Builder, EngineOptions, Session, backend, open_session, require_device
from .target import Target
from .text import Tokenizer

PIPELINES = f"{__package__}.pipelines"
SMALL_BYTES = 16 << 20  # files up to this size are hashed at every opening, larger ones by verify


class Bundle:
    """A manifest and the files it names; sessions are opened when first asked for and kept."""

    def __init__(self, folder: Path, manifest: Manifest, target: Target, options: EngineOptions) -> None:
        self.folder = folder
        self.manifest = manifest
        self.target = target
        self.options = options
        self._sessions: dict[str, Session] = {}

    def session(self, name: str) -> Session:
        """The component's artifact, opened.  Raises BundleCorrupt where the bundle has no such component."""
        if name not in self._sessions:
            part = self.manifest.component(name)
            if part is None:
                raise BundleCorrupt(f"{self.folder} has no component {name}")
            if self.options.residency == "one":
                self.close()
            self._sessions[name] = self.open(part)
        return self._sessions[name]

    def open(self, part: Component) -> Session:
        """A new session over a component's artifact, which belongs to the caller.

        Raises NotBuilt where the artifact is for engines that this machine is yet to build of it.
        """
        if self.builder is not None:
            return self.builder.open(part, self.options)
        return open_session(self.folder / part.artifact, part, self.target, self.manifest.shapes, self.options)

    @functools.cached_property
    def builder(self) -> Builder | None:
        """What builds engines of the bundle's ONNX on this machine; None where the artifacts run as they are."""
        found: Builder | None = backend(self.target).builder(self.folder, self.manifest)
        return found

    def replace_session(self, name: str, session: Session) -> None:
        """Run a component through another session, such as one that counts or records."""
        self._sessions[name] = session

    def tokenizer(self, name: str) -> Tokenizer:
        """The tokenizer of that Diffusers folder name.  Raises BundleCorrupt where the manifest does not list it."""
        file = f"{name}/tokenizer.json"
        if file not in self.manifest.files:
            raise BundleCorrupt(f"{self.folder} lists no {file}, which a pipeline of {self.manifest.pipeline} needs")
        return Tokenizer(self.folder / file)

    def close(self) -> None:
        """Close every session."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()


def open_bundle(
    folder: str | Path, *, device: str | None = None, hashes: bool = False, options: EngineOptions | None = None
) -> Bundle:
    """Check the bundle and this machine; opens no engine yet.

    device: another device of the bundle's backend than it was built for ("cpu" for a bundle for a GPU).
    hashes: check every file's sha256, not only the small ones'.
    Raises BundleCorrupt, BundleTooNew, TargetMismatch, MissingPackage.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    for problem in damaged_files(folder, manifest, hashes):
        raise BundleCorrupt(f"{folder}: {problem}; fetch or compile the bundle again")
    built = Target.parse(manifest.target)
    target = Target(built.backend, device or built.device)
    require_device(target)
    _check_versions(manifest, target)
    options = options or EngineOptions()
    backend(target).admit(folder, manifest, target.device, options)
    return Bundle(folder, manifest, target, options)


def pipeline_of(bundle: Bundle) -> Pipeline:
    """The pipeline that the manifest names, over an open bundle; its sessions are still closed."""
    module = lookup.find(PIPELINES, bundle.manifest.pipeline, "pipeline")
    pipe: Pipeline = module.create(bundle)
    return pipe


def damaged_files(folder: Path, manifest: Manifest, hashes: bool) -> Iterator[str]:
    """One sentence for each file that is missing, of another size or (small ones, or all with `hashes`) changed."""
    for name, listed in manifest.files.items():
        path = folder / name
        if path.is_symlink():
            yield f"{name} is a link; a bundle holds plain files"
        elif not path.is_file():
            yield f"{name} is missing"
        elif path.stat().st_size != listed.size_bytes:
            yield f"{name} has {path.stat().st_size} bytes, {NAME} says {listed.size_bytes}"
        elif (hashes or listed.size_bytes <= SMALL_BYTES) and sha256_of(path) != listed.sha256:
            yield f"{name} was changed: its sha256 is not the one in {NAME}"


def sha256_of(path: Path) -> str:
    """Hex digest of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_versions(manifest: Manifest, target: Target) -> None:
    """An engine reads artifacts of its own and of earlier releases."""
    here: dict[str, str] = backend(target).versions()
    for package, needed in manifest.requires.items():
        if package in here and _release(here[package]) < _release(needed):
            raise TargetMismatch(
                f"the bundle needs {package} {needed} or later, this machine has {here[package]}; "
                f'pip install "{_distribution(package, target)}>={needed}"'
            )


def _distribution(package: str, target: Target) -> str:
    """What brings it: plain onnxruntime would be installed over the one for GPUs."""
    return f"{package}-gpu" if str(target) == "ort:cuda" else package


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
