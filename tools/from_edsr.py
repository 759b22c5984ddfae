"""Start another residual network from a trained EDSR: its layers carried over.

    python tools/from_edsr.py edsr-baseline-x4 --to srresnet --data photos/ -o start.safetensors
    sr train --recipe srresnet-x4 --init start.safetensors --data photos/

srresnet (also srgan's generator): the same function but for the image's outermost pixels. Its
normalisations get the statistics of lr crops from --data, which they give back as scale and shift.
rcan: EDSR's blocks shared out over --groups, whose own convolutions start small: not the same
function, but layers that have learnt.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sr_cli.imaging.formats import format_of_name
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic
from sr_cli.networks import create_model
from sr_cli.networks.edsr import EDSR, folded
from sr_cli.networks.rcan import RCAN
from sr_cli.networks.srresnet import SRResNet
from sr_cli.registry.checkpoint import read_header, save_checkpoint
from sr_cli.registry.ref import FamilyRef, load_model, parse_model

OPEN = 3.0
"""The bias with which gates start: sigmoid(3) = 0.95."""


@torch.no_grad()
def to_srresnet(edsr: EDSR, lr: Tensor) -> SRResNet:
    """lr (N, 3, h, w) in [0, 1]: what the normalisations' statistics are measured on."""
    scale, blocks, features = edsr.scale, edsr.config["blocks"], edsr.config["features"]
    made = create_model("srresnet", scale=scale, blocks=blocks, features=features)
    assert isinstance(made, SRResNet)
    _copy_head(edsr, made.head[0], made.head[1])
    _through(made.head[1])
    x = made.head(lr)
    for block, own in zip(edsr.body[:-1], made.body[:-2], strict=True):
        branch = folded(block).branch
        c1, n1, act, c2, n2 = own.branch
        act.weight.zero_()
        _copy(branch[0], c1)
        _copy(branch[2], c2)
        inner = act(_settle(n1, c1(x)))
        x = x + _settle(n2, c2(inner))
    _copy(edsr.body[-1], made.body[-2])
    _settle(made.body[-1], made.body[-2](x))
    *layers, last = edsr.tail
    for layer, own in zip(
        (m for m in layers if isinstance(m, nn.Conv2d)),
        (m for m in made.upsampler if isinstance(m, nn.Conv2d)),
        strict=True,
    ):
        _copy(layer, own)
    for module in made.upsampler:
        if isinstance(module, nn.PReLU):
            _through(module)
    _copy(last, made.tail)
    made.tail.bias += edsr.mean.flatten()
    return made


@torch.no_grad()
def to_rcan(edsr: EDSR, groups: int) -> RCAN:
    """RCAN with EDSR's blocks shared out over `groups`, its gates almost open."""
    blocks, features = edsr.config["blocks"], edsr.config["features"]
    made = create_model(
        "rcan", scale=edsr.scale, groups=groups, blocks=blocks // groups, features=features
    )
    assert isinstance(made, RCAN)
    made.head.load_state_dict(edsr.head.state_dict())
    made.tail.load_state_dict(edsr.tail.state_dict())
    gate = float(torch.sigmoid(torch.tensor(OPEN)))
    ours = iter(edsr.body[:-1])
    *made_groups, end = made.body
    for group in made_groups:
        for own in group.branch[:-1]:
            branch = folded(next(ours)).branch
            first, _, second, attention = own.branch
            _copy(branch[0], first)
            _copy(branch[2], second, gain=1 / gate)
            attention.gate[2].weight.mul_(0.1)
            attention.gate[2].bias.fill_(OPEN)
    _copy(edsr.body[-1], end)
    return made


def _copy(source: nn.Module, own: nn.Module, *, gain: float = 1.0) -> None:
    """Weights and biases, times `gain`; a smaller kernel goes into the middle of a larger one."""
    assert isinstance(source, nn.Conv2d) and isinstance(own, nn.Conv2d)
    assert source.bias is not None and own.bias is not None
    rim = (own.kernel_size[0] - source.kernel_size[0]) // 2
    own.weight.copy_(nn.functional.pad(source.weight * gain, [rim] * 4))
    own.bias.copy_(source.bias * gain)


def _copy_head(edsr: EDSR, own: nn.Module, activation: nn.Module) -> None:
    """EDSR subtracts a mean first, which the bias takes over."""
    _copy(edsr.head, own)
    assert isinstance(own, nn.Conv2d) and own.bias is not None
    own.bias -= (edsr.head.weight * edsr.mean).sum((1, 2, 3))


def _through(activation: nn.Module) -> None:
    assert isinstance(activation, nn.PReLU)
    activation.weight.fill_(1.0)


def _settle(normalisation: nn.Module, x: Tensor) -> Tensor:
    """Normalise with the statistics of x (N, C, h, w), and undo it: gives x back."""
    assert isinstance(normalisation, nn.BatchNorm2d)
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
    normalisation.running_mean, normalisation.running_var = mean, variance
    normalisation.weight.copy_((variance + normalisation.eps).sqrt())
    normalisation.bias.copy_(mean)
    normalisation.eval()
    made: Tensor = normalisation(x)
    return made


def crops(folder: Path, scale: int, count: int = 64, side: int = 48) -> Tensor:
    """The middles of the first images of a folder, as lr (N, 3, side, side)."""
    found = []
    for file in sorted(p for p in folder.rglob("*") if format_of_name(p.name)):
        hr = crop_to_multiple(np.asarray(Image.open(file).convert("RGB")), scale)
        lr = downscale_bicubic(hr, scale)
        y, x = ((n - side) // 2 for n in lr.shape[:2])
        if min(y, x) >= 0:
            found.append(lr[y : y + side, x : x + side])
        if len(found) == count:
            break
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2).float() / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("edsr", help="a trained EDSR: id or file")
    parser.add_argument("--to", choices=("srresnet", "srgan", "rcan"), required=True)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--groups", type=int, default=4)
    parser.add_argument("--data", type=Path, help="a folder of images (srresnet)")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    edsr = load_model(options.edsr, scale=options.scale).network
    if not isinstance(edsr, EDSR):
        parser.error(f"{options.edsr} is no EDSR")
    made: SRResNet | RCAN
    # What EDSR lacks begins the same each time, so that two conversions can be compared.
    torch.manual_seed(0)
    if options.to == "rcan":
        made = to_rcan(edsr, options.groups)
    else:
        if options.data is None:
            parser.error("--data FOLDER: normalisation needs images")
        made = to_srresnet(edsr, crops(options.data, options.scale))
    ref = parse_model(options.edsr)
    path = ref.entries[0].path if isinstance(ref, FamilyRef) else Path(options.edsr)
    source = read_header(path)
    header = replace(
        source, model=options.to, config=made.config, scales=[options.scale], halo=None, figures={}
    )
    save_checkpoint(options.output, header, made.state_dict())


if __name__ == "__main__":
    main()
