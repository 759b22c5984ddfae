"""Checkpoints of sr: a .safetensors file whose header describes how to rebuild the network."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sr_cli.errors import SrError
from sr_cli.layers.initial import uninitialised
from sr_cli.networks import create_model, model_names
from sr_cli.networks.base import SRModel
from sr_cli.registry.content import check_content
from sr_cli.registry.loaded import Traits, default_value_range
from sr_cli.system.files import atomic_write

FORMAT = 1
_KEY = "sr"


@dataclass(frozen=True)
class Header:
    """The description of a network that its checkpoint carries.

    Attributes:
        model: The network's name.
        scales: The scales that its tensors serve; several for one set of weights (VDSR).
        config: The network's settings: `create_model(model, scale=…, **config)`.
        halo: Context in lr pixels with which tiles agree to 1e-4; None for the receptive radius.
        margin: Lr pixels by which images are continued beyond their edges; None for the network's.
        half_is_safe: Whether half precision costs less than 0.01 dB.
        recipe: How it was trained.
        figures: Measured results, for instance {"Set5 PSNR-Y": 30.5}.
        data: The training data.
        licence: The licence of the weights.
        format: The version of this header.
    """

    model: str
    scales: list[int]
    config: dict[str, Any] = field(default_factory=dict)
    halo: int | None = None
    margin: int | None = None
    half_is_safe: bool = True
    recipe: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    data: str = ""
    licence: str = ""
    format: int = FORMAT


def save_checkpoint(path: Path, header: Header, tensors: dict[str, Tensor]) -> None:
    """Write tensors and header atomically.

    Args:
        path: The file to write.
        header: How to rebuild the network.
        tensors: The network's state, by name.

    Raises:
        SrError: `unwritable-file`.
    """
    plain = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    content = save(plain, metadata={_KEY: json.dumps(asdict(header), sort_keys=True)})
    with atomic_write(path) as file:
        file.write(content)


def is_sr_checkpoint(path: Path) -> bool:
    """Whether a file has the header of an sr checkpoint."""
    if path.suffix.lower() != ".safetensors":
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return _KEY in (file.metadata() or {})
    except (SafetensorError, OSError, ValueError):
        return False


def read_header(path: Path) -> Header:
    """Read the header of an sr checkpoint.

    Raises:
        SrError: `file-not-found`, `unreadable-checkpoint`, `not-an-sr-checkpoint`,
            `invalid-header`.
    """
    return _open(path)[0]


def load_checkpoint(path: Path, *, scale: int | None = None) -> tuple[SRModel, Header]:
    """Load an sr checkpoint.

    Args:
        path: The file.
        scale: One of its scales; None takes the first.

    Returns:
        The network in float32, in evaluation mode, and its header.

    Raises:
        SrError: As `read_header`; `scale-not-available`; `tensor-mismatch`, which names
            missing, unknown and wrongly shaped tensors.
    """
    header, tensors = _open(path)
    scale = header.scales[0] if scale is None else scale
    if scale not in header.scales:
        raise SrError("scale-not-available", path, scale=scale, available=header.scales)
    # Checked before anything is built: every block has at least one tensor.
    counts = [n for key in ("blocks", "groups", "layers", "m") for n in [header.config.get(key, 1)]]
    if not all(isinstance(n, int) for n in counts) or math.prod(counts) > len(tensors):
        raise SrError("invalid-header", path, reason="more blocks than tensors")
    with uninitialised(), torch.device("meta"):
        expected = _build(path, header, scale).state_dict()
    _check_tensors(path, header, expected, tensors)
    with uninitialised():
        model = _build(path, header, scale)
    model.load_state_dict(
        {n: t if t.dtype == torch.int64 else t.float() for n, t in tensors.items()}
    )
    return model.eval(), header


def _build(path: Path, header: Header, scale: int) -> SRModel:
    try:
        return create_model(header.model, scale=scale, **header.config)
    except SrError as error:
        raise SrError("invalid-header", path, reason=error) from error


def _open(path: Path) -> tuple[Header, dict[str, Tensor]]:
    try:
        check_content(path)
        with safe_open(path, framework="pt") as file:
            described = (file.metadata() or {}).get(_KEY)
            if described is None:
                raise SrError("not-an-sr-checkpoint", path)
            header = _parse_header(path, described)
            names = list(file.keys())
            return header, {name: file.get_tensor(name) for name in names}
    except FileNotFoundError:
        raise SrError("file-not-found", path) from None
    except (SafetensorError, OSError, ValueError) as error:
        raise SrError("unreadable-checkpoint", path, reason=str(error)) from error


def _parse_header(path: Path, described: str) -> Header:
    try:
        fields = json.loads(described)
        header = Header(**fields)
        if header.model not in model_names():
            raise ValueError(f"unknown network '{header.model}'")
        if header.format > FORMAT:
            raise ValueError("made by a newer version of sr")
        if not header.scales or not all(isinstance(s, int) for s in header.scales):
            raise ValueError("no scales")
        if not isinstance(header.config, dict) or "scale" in header.config:
            raise ValueError("config is not a table of settings")
        for pixels in (header.halo, header.margin):
            if pixels is not None and not (isinstance(pixels, int) and 0 <= pixels < 512):
                raise ValueError("its halo or margin is not a number of pixels")
        for value in header.config.values():
            numbers = value if isinstance(value, list) else [value]
            inside = all(isinstance(n, int | float) and 0 <= n <= 4096 for n in numbers)
            if not inside and not isinstance(value, str):
                raise ValueError("its config is out of range")
    except (TypeError, ValueError, RecursionError) as error:
        raise SrError("invalid-header", path, reason=str(error)) from error
    return header


def _check_tensors(
    path: Path, header: Header, expected: dict[str, Tensor], found: dict[str, Tensor]
) -> None:
    missing = sorted(set(expected) - set(found))
    unknown = sorted(set(found) - set(expected))
    wrong = [
        f"{n} {tuple(found[n].shape)} instead of {tuple(t.shape)}"
        for n, t in expected.items()
        if n in found and found[n].shape != t.shape
    ]
    if missing or unknown or wrong:
        raise SrError(
            "tensor-mismatch",
            path,
            network=header.model,
            missing=_first_few(missing),
            unknown=_first_few(unknown),
            wrong_shape=_first_few(wrong),
        )


def _first_few(names: list[str]) -> list[str]:
    """The first three, and how many more there are."""
    return [*names[:3], *([f"+{len(names) - 3}"] if len(names) > 3 else [])]


def traits_of(header: Header, channels: int) -> Traits:
    """The traits of a network with 1 or 3 channels, from the header of its checkpoint."""
    return Traits(
        header.model,
        header.halo,
        header.half_is_safe,
        margin=header.margin,
        value_range=default_value_range(channels),
    )
