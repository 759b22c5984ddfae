"""VGG's convolutions, in torchvision's order: what LPIPS and the perceptual losses look through."""

from __future__ import annotations

from torch import nn

WIDTHS = (64, 128, 256, 512, 512)
BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
"""Convolutions in each block."""


def vgg_layers(network: str) -> list[nn.Module]:
    """Convolution, ReLU, …, a pool after each block (Simonyan and Zisserman, table 1, D and E)."""
    layers: list[nn.Module] = []
    channels = 3
    for width, count in zip(WIDTHS, BLOCKS[network], strict=True):
        for _ in range(count):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return layers
