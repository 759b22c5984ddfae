"""Tensors from untrusted files, read without running any code in them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sr_cli.errors import SrError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a .safetensors file, or a pickle that holds only tensors.

    Args:
        path: The file. No code in it is run.

    Returns:
        Tensors by name, on the CPU; in nested dictionaries, names are joined by points.

    Raises:
        SrError: `file-not-found`; `unreadable-checkpoint` for files that are damaged or hold more
            than tensors; `expands-too-much` for files that decompress to many times their size.
    """
    try:
        if _is_safetensors(path):
            found: Any = load_file(path)
        else:
            _check_archive(path)
            found = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise SrError("file-not-found", path) from None
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise SrError("unreadable-checkpoint", path, reason=_first_line(error)) from error
    except SrError:
        raise
    except Exception as error:
        # torch.load raises any type for pickles that hold more than tensors, and its message
        # suggests loading them unsafely.
        raise SrError("unreadable-checkpoint", path, reason="it holds more than tensors") from error
    tensors = _flatten(found)
    if not tensors:
        raise SrError("unreadable-checkpoint", path, reason="no named tensors")
    declared = sum(t.numel() * t.element_size() for t in tensors.values())
    if declared > _MOST_PER_BYTE * path.stat().st_size + _ALWAYS_ALLOWED:
        raise SrError("expands-too-much", path, mib=declared >> 20)
    return tensors


_MOST_PER_BYTE = 4
_ALWAYS_ALLOWED = 1 << 20
_DEEPEST = 8


def _is_safetensors(path: Path) -> bool:
    """Whether the suffix says so, or the file begins with a length and a JSON header."""
    if path.suffix.lower() == ".safetensors":
        return True
    with path.open("rb") as file:
        return file.read(9)[8:] == b"{"


def _check_archive(path: Path) -> None:
    """Raises SrError for compressed archives; PyTorch stores tensors uncompressed."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        grown = sum(i.file_size for i in archive.infolist())
    if grown > _MOST_PER_BYTE * path.stat().st_size + _ALWAYS_ALLOWED:
        raise SrError("expands-too-much", path, mib=grown >> 20)


def _flatten(found: Any) -> dict[str, Tensor]:
    """The tensors of nested mappings, named by their path: `state_dict.model.conv.weight`."""
    tensors: dict[str, Tensor] = {}
    seen: set[int] = set()

    def collect(mapping: Mapping[Any, Any], prefix: str, depth: int) -> None:
        # A mapping may hold itself, or the same one in many places.
        if depth > _DEEPEST or id(mapping) in seen:
            return
        seen.add(id(mapping))
        for name, value in mapping.items():
            if isinstance(value, Mapping):
                collect(value, f"{prefix}{name}.", depth + 1)
            elif (
                isinstance(value, Tensor)
                and not value.is_complex()
                and value.layout is torch.strided
            ):
                tensors[f"{prefix}{name}"] = value

    if isinstance(found, Mapping):
        collect(found, "", 0)
    return tensors


def _first_line(error: Exception) -> str:
    said = str(error).splitlines()[0] if str(error) else ""
    return said if len(said) > 12 else "damaged, or not a checkpoint"
