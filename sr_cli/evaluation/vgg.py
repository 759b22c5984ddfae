"""VGG's convolutions with torchvision's weights: what LPIPS and the perceptual losses compare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sr_cli.errors import SrError
from sr_cli.registry.tensors import read_tensors
from sr_cli.store import store
from sr_cli.store.remote import Remote

# torchvision's addresses carry the first digits of these.
_SHA256 = {
    "vgg16": "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    "vgg19": "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
}


def vgg_layers(network: str) -> nn.Sequential:
    """Convolution, ReLU, …, a pool after each block (Simonyan and Zisserman, table 1, D and E).

    Args:
        network: `vgg16` or `vgg19`.

    Returns:
        torchvision's `features`, weights not initialised.
    """
    # torchvision takes half a second to import, and few trainings need it.
    from torchvision.models import get_model

    with torch.device("meta"):
        # The classifier, nine tenths of the network, never takes memory.
        features: nn.Sequential = get_model(network, weights=None).features
    return features.to_empty(device="cpu")


def layer_names(layers: nn.Sequential) -> dict[str, int]:
    """The convolutions' names, `convBLOCK_NUMBER`, and their indices."""
    names: dict[str, int] = {}
    block, number = 1, 0
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.MaxPool2d):
            block, number = block + 1, 0
        elif isinstance(layer, nn.Conv2d):
            number += 1
            names[f"conv{block}_{number}"] = index
    return names


def imagenet_statistics(network: str) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of the channels that VGG was trained on, for RGB in [0, 1]."""
    transforms = _weights(network).transforms()
    return list(transforms.mean), list(transforms.std)


def vgg_remote(network: str) -> Remote:
    """Where torchvision's weights of `vgg16` or `vgg19` are, and their full hash."""
    url = _weights(network).url
    place = f"trunks/{url.rsplit('/', 1)[1]}"
    return Remote(url, place, sha256=_SHA256[network], local_option="--trunk")


def load_vgg(
    network: str, shapes: Mapping[str, torch.Size], file: Path | None
) -> dict[str, Tensor]:
    """VGG's weights, fetched once and verified, or from a file.

    Args:
        network: `vgg16` or `vgg19`.
        shapes: The tensors that are needed, as torchvision names them: `features.0.weight`.
        file: None for torchvision's file.

    Returns:
        These tensors, in float32.

    Raises:
        SrError: `not-vgg-weights` for a file without these tensors, and what fetching raises.
    """
    if file is None:
        file = store.get(vgg_remote(network))
    tensors = read_tensors(file)
    for name, shape in shapes.items():
        found = tensors.get(name)
        if found is None or found.shape != shape:
            raise SrError("not-vgg-weights", file, network=network, tensor=name)
    return {name: tensors[name].float() for name in shapes}


def _weights(network: str) -> Any:
    from torchvision.models import get_model_weights

    return get_model_weights(network).IMAGENET1K_V1
