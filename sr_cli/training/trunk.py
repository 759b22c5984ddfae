"""VGG's convolutions: torchvision's weights, fetched and verified on first use, or from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from sr_cli.cache import cache_folder
from sr_cli.download import Remote, fetch
from sr_cli.errors import SrError

_TORCHVISION = {
    "vgg16": ("https://download.pytorch.org/models/vgg16-397923af.pth", "397923af"),
    "vgg19": ("https://download.pytorch.org/models/vgg19-dcbb9e9d.pth", "dcbb9e9d"),
}
"""Address, and the first digits of the sha256, which torchvision puts into the name."""


def load_trunk(
    network: str, wanted: Mapping[str, torch.Size], file: Path | None
) -> dict[str, Tensor]:
    """The tensors `wanted` (`features.N.weight` and `.bias`), float32.

    Raises SrError when they cannot be had, or the file is not that network's trunk.
    """
    if file is None:
        url, prefix = _TORCHVISION[network]
        file = fetch(
            Remote(url, sha256_prefix=prefix),
            cache_folder() / "trunks" / url.rsplit("/", 1)[1],
            hint=f"--trunk FILE takes {network}'s convolutions from a file",
        )
    try:
        tensors: dict[str, Any] = (
            load_file(file)
            if file.suffix == ".safetensors"
            else torch.load(file, map_location="cpu", weights_only=True)
        )
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise SrError(f"{file}: cannot be read as weights ({_first_line(error)})") from error
    except Exception as error:
        # What torch.load raises for pickles that hold more than tensors has no common type.
        raise SrError(f"{file}: not a file of tensors ({_first_line(error)})") from error
    for name, shape in wanted.items():
        found = tensors.get(name) if isinstance(tensors, Mapping) else None
        if not isinstance(found, Tensor) or found.shape != shape:
            raise SrError(f"{file}: not the trunk of {network} ({name} is missing or differs)")
    return {name: tensors[name].float() for name in wanted}


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
