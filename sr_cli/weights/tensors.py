"""Files of tensors from anywhere: read without running anything that is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sr_cli.errors import SrError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Names and tensors of a .safetensors, or of a pickle that holds nothing else.

    Raises SrError for files that are missing, damaged or hold more than tensors.
    """
    try:
        found: Any = (
            load_file(path)
            if path.suffix.lower() == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except FileNotFoundError:
        raise SrError(f"{path}: no such file") from None
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise SrError(f"{path}: cannot be read as weights ({_first_line(error)})") from error
    except Exception as error:
        # What torch.load raises for pickles that hold more than tensors has no common type.
        raise SrError(f"{path}: not a file of tensors ({_first_line(error)})") from error
    tensors = _innermost(found)
    if not tensors:
        raise SrError(f"{path}: holds no named tensors")
    return tensors


_WRAPPERS = (
    "params_ema",
    "params-ema",
    "params",
    "state_dict",
    "model_state_dict",
    "g_ema",
    "model",
)
"""Where training tools put a network's tensors, the averaged ones first."""


def _innermost(found: Any) -> dict[str, Tensor]:
    """The tensors of a mapping, or of the one that a wrapper's name leads to."""
    if not isinstance(found, Mapping):
        return {}
    for name in _WRAPPERS:
        if isinstance(found.get(name), Mapping) and (inner := _innermost(found[name])):
            return inner
    return {str(k): v for k, v in found.items() if isinstance(v, Tensor)}


def _first_line(error: Exception) -> str:
    said = str(error).splitlines()[0] if str(error) else ""
    return said if len(said) > 12 else "damaged, or not a checkpoint"
