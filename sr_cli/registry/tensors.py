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
        Tensors by name, on the CPU.

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
    tensors = _innermost(found)
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


_WRAPPERS = (
    "params_ema",
    "params-ema",
    "params",
    "state_dict",
    "model_state_dict",
    "g_ema",
    "model",
)
"""Keys under which training tools store the weights; averaged weights come first."""


def _innermost(found: Any, depth: int = 0) -> dict[str, Tensor]:
    """The tensors of a mapping, or of the nested mapping that holds the weights."""
    if not isinstance(found, Mapping) or depth > _DEEPEST:
        return {}
    for name in _WRAPPERS:
        if isinstance(found.get(name), Mapping) and (inner := _innermost(found[name], depth + 1)):
            return inner
    return {
        str(k): v
        for k, v in found.items()
        if isinstance(v, Tensor) and not v.is_complex() and v.layout is torch.strided
    }


def _first_line(error: Exception) -> str:
    said = str(error).splitlines()[0] if str(error) else ""
    return said if len(said) > 12 else "damaged, or not a checkpoint"
