"""Make a deeper VDSR of a trained shallow one: layers put in that pass everything on.

    sr train --recipe vdsr-shallow -o shallow.safetensors --data photos/
    python tools/deepen_vdsr.py shallow.safetensors --layers 20 -o start.safetensors
    sr train --recipe vdsr --init start.safetensors --data photos/

What lies between two layers is never negative (ReLU), so a layer that starts as the identity
changes nothing: the deep network starts where the shallow one, several times quicker to train,
has come to (Chen et al., Net2Net, section 2.3).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from sr_cli.networks import create_model
from sr_cli.networks.vdsr import VDSR
from sr_cli.registry.checkpoint import read_header, save_checkpoint
from sr_cli.registry.ref import load_model

NOISE = 0.03
"""Share of their random weights that the new layers keep, so that they do not learn alike."""


@torch.no_grad()
def deepen(shallow: VDSR, layers: int) -> VDSR:
    """A network of `layers` layers: the function of `shallow` but for NOISE."""
    trained = [m for m in shallow.layers if isinstance(m, nn.Conv2d)]
    config = {**shallow.config, "layers": layers}
    deep = create_model("vdsr", scale=shallow.scale, **config)
    assert isinstance(deep, VDSR)
    made = [m for m in deep.layers if isinstance(m, nn.Conv2d)]
    middle, slots = trained[1:-1], len(made) - 2
    places = {1 + (i * slots) // len(middle): layer for i, layer in enumerate(middle)}
    for index, layer in enumerate(made[1:-1], start=1):
        if index not in places:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            layer.weight.mul_(NOISE).add_(nn.init.dirac_(torch.empty_like(layer.weight)))
    for index, layer in {0: trained[0], **places, len(made) - 1: trained[-1]}.items():
        made[index].load_state_dict(layer.state_dict())
    return deep


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="a VDSR's checkpoint")
    parser.add_argument("--layers", type=int, default=20)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    header = read_header(options.source)
    shallow = load_model(str(options.source)).network
    assert isinstance(shallow, VDSR)
    made = deepen(shallow, options.layers)
    header = replace(header, config=dict(made.config), halo=None, figures={})
    save_checkpoint(options.output, header, made.state_dict())


if __name__ == "__main__":
    main()
