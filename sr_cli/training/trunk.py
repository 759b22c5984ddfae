"""VGG's convolutions: torchvision's weights, fetched and verified on first use, or from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from sr_cli import store
from sr_cli.errors import SrError
from sr_cli.registry.tensors import read_tensors
from sr_cli.store import Remote

_TORCHVISION = {
    "vgg16": Remote(
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "trunks/vgg16-397923af.pth",
        sha256_prefix="397923af",
        local_option="--trunk",
    ),
    "vgg19": Remote(
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        "trunks/vgg19-dcbb9e9d.pth",
        574_673_361,
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        local_option="--trunk",
    ),
}
"""torchvision puts the first digits of the sha256 into the name; of VGG16 no more is known."""


def load_trunk(
    network: str, wanted: Mapping[str, torch.Size], file: Path | None
) -> dict[str, Tensor]:
    """The tensors `wanted` (`features.N.weight` and `.bias`), float32.

    Raises SrError when they cannot be had, or the file is not that network's trunk.
    """
    if file is None:
        file = store.get(_TORCHVISION[network])
    tensors = read_tensors(file)
    for name, shape in wanted.items():
        found = tensors.get(name)
        if found is None or found.shape != shape:
            raise SrError(f"{file}: not the trunk of {network} ({name} is missing or differs)")
    return {name: tensors[name].float() for name in wanted}
