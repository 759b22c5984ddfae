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
    if not isinstance(found, Mapping):
        raise SrError(f"{path}: not a file of named tensors")
    return {str(k): v for k, v in found.items() if isinstance(v, Tensor)}


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
