"""Checks of workers before the work: versions, weights, precision, inputs and outputs."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import network_scale
from sr_cli.errors import SrError
from sr_cli.registry.ref import AddressRef, BicubicRef, FamilyRef, FileRef, ModelRef
from sr_cli.store import store
from sr_cli.system.cache import cache_folder
from sr_cli.system.files import exclusive_lock, sha256_of
from sr_cli.upscale.groups import Group
from sr_cli.upscale.remote import address_of, size_of
from sr_cli.version import __version__

_LIBRARIES = ("torch", "numpy", "pillow")
"""Packages whose versions change results or files."""


@dataclass(frozen=True)
class Probe:
    """What a worker is asked.

    Attributes:
        refs: The models.
        factor: For which their scale is chosen.
        engine: The options of this worker.
        sources: Some of the inputs.
        mark: A file where results are written, or in the nearest folder above that exists, so that
            another folder of the same name is noticed; None for results in a store.
    """

    refs: tuple[ModelRef, ...]
    factor: float
    engine: EngineOptions
    sources: tuple[Path, ...]
    mark: Path | None


@dataclass(frozen=True)
class Facts:
    """What a worker, or this process, answers.

    Attributes:
        versions: By the name of the package.
        weights: The sha256 of each checkpoint.
        sizes: Of the inputs, in bytes.
        compute: Device type and precision, such as `cpu fp32`; empty where it was not asked for.
    """

    versions: Mapping[str, str]
    weights: tuple[str, ...]
    sizes: tuple[int, ...]
    compute: str = ""


def make_probe(group: Group, mark: Path | None) -> Probe:
    """The probe for a group: its first, middle and last input.

    Args:
        group: The images.
        mark: As in `Probe`.
    """
    jobs = group.jobs
    some = dict.fromkeys(jobs[i].source for i in (0, len(jobs) // 2, -1))
    # What cannot be read here fails as an image, not as a worker.
    readable = tuple(path.absolute() for path in some if os.path.isfile(path))
    return Probe(group.refs, group.factor, group.options.engine, readable, mark)


def existing_folder(path: Path) -> Path:
    """The folder of a result, or the nearest one above it that exists."""
    folder = Path(os.path.abspath(path)).parent
    return next(p for p in (folder, *folder.parents) if os.path.isdir(p))


def describe_here(probe: Probe) -> Facts:
    """What this process must have in common with its workers.

    Raises:
        SrError: What reading the weights raises.
    """
    return Facts(_versions(), _weights(probe), tuple(size_of(path) for path in probe.sources))


def describe_worker(probe: Probe) -> Facts:
    """What a worker has; run there.

    Raises:
        SrError: `file-not-found`, `folder-not-found`, `unwritable-file`, `not-downloaded` and
            what reading the weights raises; `device-not-available`, `precision-not-supported`.
    """
    for path in probe.sources:
        if not address_of(path) and not os.access(path, os.R_OK):
            raise SrError("file-not-found", path)
    if probe.mark is not None:
        _check_folder(probe.mark)
    here = describe_here(probe)
    return Facts(here.versions, here.weights, here.sizes, _compute(probe))


def _check_folder(mark: Path) -> None:
    """Check that this process sees a file, and can write beside it."""
    folder = mark.parent
    if not os.path.exists(mark):
        raise SrError("folder-not-found", folder)
    try:
        with tempfile.TemporaryFile(prefix=".sr-", suffix=".tmp", dir=folder) as file:
            file.write(b"\0" * 4096)
    except OSError as error:
        raise SrError("unwritable-file", folder, reason=error.strerror or str(error)) from error


def difference(found: Facts, wanted: Facts) -> SrError | None:
    """How a worker differs from this process, or None."""
    for name, here in wanted.versions.items():
        if (there := found.versions.get(name, "none")) != here:
            return SrError("worker-differs", what=name, found=there, wanted=here)
    if found.weights != wanted.weights:
        pairs = zip(found.weights, wanted.weights, strict=False)
        there, here = next((a, b) for a, b in pairs if a != b)
        return SrError("worker-differs", what="weights", found=there[:12], wanted=here[:12])
    if found.sizes != wanted.sizes:
        there, here = str(list(found.sizes)), str(list(wanted.sizes))
        return SrError("worker-differs", what="bytes of the first inputs", found=there, wanted=here)
    return None


def most_common(found: Sequence[Facts]) -> str:
    """How most workers compute: device type and precision."""
    return Counter(f.compute for f in found).most_common(1)[0][0] if found else ""


def _versions() -> dict[str, str]:
    found = {"sr": __version__}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _weights(probe: Probe) -> tuple[str, ...]:
    scale = network_scale(probe.refs, probe.factor)
    steps = [step for ref in probe.refs for step in ref.steps]
    return tuple(
        sha256_of(path)
        for step in steps
        if not isinstance(step, BicubicRef)
        for path in _files_of(step, scale)
    )


def _files_of(ref: ModelRef, scale: int | None) -> list[Path]:
    """The checkpoints of a model. A release's own are verified."""
    if isinstance(ref, FamilyRef):
        return ref.paths(scale)
    if isinstance(ref, AddressRef):
        if not store.is_intact(ref.remote):
            raise SrError("not-downloaded", ref.remote.address, hint="address")
        return [ref.remote.path]
    assert isinstance(ref, FileRef)
    if not os.path.isfile(ref.path):
        raise SrError("file-not-found", ref.path)
    return [ref.path]


def _compute(probe: Probe) -> str:
    """Device type and precision on this worker."""
    engine = probe.engine
    bicubic = all(isinstance(ref, BicubicRef) for ref in probe.refs)
    if bicubic and engine.device in ("auto", "cpu"):
        return "cpu"
    from sr_cli.engine.device import DTYPE_NAMES, pick_host, pick_precision

    device = pick_host(engine.device)
    if bicubic:
        return device.type
    try:
        # Workers of one machine would disturb each other's measurement.
        with exclusive_lock(cache_folder() / "precision.json"):
            dtype = pick_precision(device, engine.precision)
    except SrError as error:
        if error.code not in ("locked", "unwritable-file"):
            raise
        dtype = pick_precision(device, engine.precision)
    return f"{device.type} {DTYPE_NAMES[dtype]}"
