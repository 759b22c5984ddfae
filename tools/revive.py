"""Give a trained chain of ReLU layers (SRCNN, VDSR) its dead features back.

    python tools/revive.py srcnn-x4.safetensors --data photos/ -o start.safetensors
    sr train --recipe srcnn-x4 --init start.safetensors --data photos/

A feature that no pixel switches on gets no gradient, for good. It is given new random weights and
a bias with which half of the pixels switch it on; what follows takes it with small weights (with
none, it would die again before they have grown).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import torch
from from_edsr import crops
from torch import Tensor, nn

from sr_cli.imaging.colour import LUMA_BLACK, LUMA_WEIGHTS
from sr_cli.networks.bicubic import upscale_bicubic
from sr_cli.networks.srcnn import SRCNN
from sr_cli.networks.vdsr import VDSR
from sr_cli.registry.checkpoint import read_header, save_checkpoint
from sr_cli.registry.ref import load_model

ALIVE = 1e-3
"""Share of pixels that must switch a feature on."""

TAKEN = 0.1
"""Size of what follows' new weights for it, as a share of random ones."""


@torch.no_grad()
def revive(layers: nn.Sequential, x: Tensor) -> list[int]:
    """x (N, 1, H, W): upscaled luma. Changes `layers`; returns how many were dead in each."""
    stack = [m for m in layers if isinstance(m, nn.Conv2d)]
    counts = []
    for layer, following in pairwise(stack):
        assert layer.bias is not None
        dead = ((layer(x) > 0).float().mean((0, 2, 3)) < ALIVE).nonzero().flatten()
        counts.append(len(dead))
        layer.weight[dead] = _random(layer)[dead]
        layer.bias[dead] = 0
        middle = layer(x)[:, dead].transpose(0, 1).flatten(1).median(1).values
        layer.bias[dead] = -middle
        following.weight[:, dead] = TAKEN * _random(following)[:, dead]
        x = layer(x).relu_()
    return counts


def _random(layer: nn.Conv2d) -> Tensor:
    return nn.init.kaiming_normal_(torch.empty_like(layer.weight), nonlinearity="relu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("source", type=Path, help="a checkpoint of SRCNN or VDSR")
    parser.add_argument("--data", type=Path, required=True, help="a folder of images")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    model = load_model(str(options.source)).network
    if not isinstance(model, SRCNN | VDSR):
        parser.error(f"{options.source} is no SRCNN or VDSR")
    lr = crops(options.data, model.scale, count=32)
    weights = torch.tensor(LUMA_WEIGHTS, dtype=torch.float32).view(1, 3, 1, 1)
    luma = (lr * weights).sum(1, keepdim=True) + LUMA_BLACK
    counts = revive(model.layers, upscale_bicubic(luma, model.scale))
    print("dead features, layer by layer:", *counts)
    header = replace(read_header(options.source), halo=None, figures={})
    save_checkpoint(options.output, header, model.state_dict())


if __name__ == "__main__":
    main()
