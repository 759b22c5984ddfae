"""Checkpoints of other tools for networks of sr: tensors renamed and scaled to the range [0, 1].

Each converter takes the tensors of a file and returns a network of sr, or None for other layouts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from sr_cli.networks import create_model
from sr_cli.networks.base import SRModel

Tensors = Mapping[str, Tensor]

LAYOUTS = {
    "EDSR": "sanghyun-son",
    "RCAN": "sanghyun-son, torchSR",
    "SRResNet": "Lornatang, leftthomas",
    "ESPCN": "Lornatang",
}
"""Networks that are converted, and the authors of the layouts."""


def convert_tensors(tensors: Tensors) -> SRModel | None:
    """Build a network of sr from the tensors of another tool.

    Args:
        tensors: By name, as the file has them.

    Returns:
        The network in evaluation mode, or None if no layout matches.
    """
    for layout in (_edsr, _rcan, _srresnet_of_lornatang, _srresnet_of_leftthomas, _espcn):
        try:
            model = layout(tensors)
        except Exception:
            # The names match and the shapes do not: another layout may fit.
            continue
        if model is not None:
            return model.eval()
    return None


def _build(tensors: Tensors, name: str, **config: Any) -> SRModel:
    """Build the network, unless the shapes claim far more weights than the file holds."""
    with torch.device("meta"):
        wanted = sum(p.numel() for p in create_model(name, **config).parameters())
    if wanted > 10_000 + 2 * sum(t.numel() for t in tensors.values()):
        raise ValueError(f"{wanted} parameters are not in the file")
    return create_model(name, **config)


def _edsr(tensors: Tensors) -> SRModel | None:
    """EDSR-PyTorch's EDSR, on 0 to 255. Apart from its biases, the network is homogeneous."""
    if not {"head.0.weight", "body.0.body.0.weight", "tail.0.0.weight"} <= set(tensors):
        return None
    features, blocks = len(tensors["head.0.weight"]), _count(tensors, r"body\.(\d+)\.body\.")
    model = _build(
        tensors,
        "edsr",
        scale=_scale(tensors, r"tail\.0\.\d+\.weight"),
        features=features,
        blocks=blocks,
        residual_scaling=0.1 if features == 256 else 1.0,
    )
    names = [(r"^body\.(\d+)\.body\.", r"body.\1.branch.")]
    return _load(model, _rename(tensors, names + _ends(tensors), _small_biases))


def _rcan(tensors: Tensors) -> SRModel | None:
    """EDSR-PyTorch's RCAN, on 0 to 255; here, its gates see means 255 times smaller."""
    squeeze = tensors.get("body.0.body.0.body.3.conv_du.0.weight")
    if squeeze is None or not {"head.0.weight", "sub_mean.weight"} <= set(tensors):
        return None
    model = _build(
        tensors,
        "rcan",
        scale=_scale(tensors, r"tail\.0\.\d+\.weight"),
        features=len(tensors["head.0.weight"]),
        groups=_count(tensors, r"body\.(\d+)\.body\."),
        blocks=_count(tensors, r"body\.0\.body\.(\d+)\.body\."),
        reduction=squeeze.shape[1] // squeeze.shape[0],
    )

    def in_our_range(name: str, tensor: Tensor) -> Tensor:
        if "conv_du" not in name:
            return _small_biases(name, tensor)
        return tensor * 255 if name.endswith("conv_du.0.weight") else tensor

    names = [
        (r"^body\.(\d+)\.body\.(\d+)\.body\.", r"body.\1.branch.\2.branch."),
        (r"^body\.(\d+)\.body\.", r"body.\1.branch."),
        (r"conv_du", "gate"),
    ]
    return _load(model, _rename(tensors, names + _ends(tensors), in_our_range))


def _srresnet_of_lornatang(tensors: Tensors) -> SRModel | None:
    """SRGAN-PyTorch's SRResNet (`conv1`, …) and older Generator (`conv_block1`, …)."""
    if "trunk.0.rcb.0.weight" not in tensors:
        return None
    return _srresnet(
        tensors,
        r"trunk\.(\d+)\.",
        [
            (r"^conv(_block)?1\.", "head."),
            (r"^trunk\.(\d+)\.rcb\.", r"body.\1.branch."),
            (r"^conv(_block)?2\.", "body.END."),
            (r"^upsampling\.(\d+)\.upsample_block\.", r"upsampler.\1."),
            (r"^conv(_block)?3\.", "tail."),
        ],
    )


def _srresnet_of_leftthomas(tensors: Tensors) -> SRModel | None:
    """SRGAN's Generator with `block1` to `block8`, whose output goes through tanh."""
    if not {"block1.0.weight", "block2.conv1.weight", "block7.1.running_mean"} <= set(tensors):
        return None
    steps = _count(tensors, r"block8\.(\d+)\.conv\.")
    names = [(r"^block1\.", "head.")]
    for place, layer in enumerate(("conv1", "bn1", "prelu", "conv2", "bn2")):
        names.append((rf"^block(\d)\.{layer}\.", rf"body.<\1>.branch.{place}."))
    names += [
        (r"^block7\.", "body.END."),
        (r"^block8\.(\d+)\.conv\.", r"upsampler.\1.0."),
        (r"^block8\.(\d+)\.prelu\.", r"upsampler.\1.2."),
        (rf"^block8\.{steps}\.", "tail."),
        *((rf"<{block}>", str(block - 2)) for block in range(2, 7)),
    ]
    return _srresnet(tensors, r"block([2-6])\.conv1\.", names, squash=True)


def _srresnet(
    tensors: Tensors, block: str, names: list[tuple[str, str]], *, squash: bool = False
) -> SRModel:
    """Build SRResNet from renamed tensors; layers of upsampler steps are numbered consecutively."""
    blocks = _count(tensors, block)
    names = [
        *names,
        (r"^body\.END\.0\.", f"body.{blocks}."),
        (r"^body\.END\.1\.", f"body.{blocks + 1}."),
    ]
    renamed = _rename(tensors, names, lambda _, tensor: tensor)
    scale = _scale(renamed, r"upsampler\.\d+\.0\.weight")
    model = _build(
        tensors,
        "srresnet",
        scale=scale,
        blocks=blocks,
        features=len(renamed["head.0.weight"]),
        squash=squash,
    )
    flat = {
        re.sub(
            r"^upsampler\.(\d+)\.(\d)\.", lambda m: f"upsampler.{3 * int(m[1]) + int(m[2])}.", n
        ): t
        for n, t in renamed.items()
    }
    # Convolutions before a normalisation may have no bias.
    own = model.state_dict()
    missing = {n: torch.zeros_like(own[n]) for n in own if n.endswith("bias") and n not in flat}
    return _load(model, flat | missing)


def _espcn(tensors: Tensors) -> SRModel | None:
    """ESPCN-PyTorch's, on luma."""
    first, last = (tensors.get(f"{n}.0.weight") for n in ("feature_maps", "sub_pixel"))
    if first is None or last is None or first.shape[1] != 1:
        return None
    second = tensors["feature_maps.2.weight"]
    model = _build(
        tensors,
        "espcn",
        scale=round(len(last) ** 0.5),
        kernels=[t.shape[-1] for t in (first, second, last)],
        features=[len(first), len(second)],
    )
    names = [(r"^feature_maps\.", "layers."), (r"^sub_pixel\.0\.", "layers.4.")]
    return _load(model, _rename(tensors, names, lambda _, tensor: tensor))


def _ends(tensors: Tensors) -> list[tuple[str, str]]:
    """The names of EDSR-PyTorch's head and tail, whose upsampler is a module of its own."""
    steps = sum(1 for n in tensors if re.fullmatch(r"tail\.0\.\d+\.weight", n))
    return [
        (r"^head\.0\.", "head."),
        (r"^tail\.0\.", "tail.UP."),
        (r"^tail\.1\.", f"tail.{2 * steps}."),
        (r"^tail\.UP\.", "tail."),
    ]


def _small_biases(name: str, tensor: Tensor) -> Tensor:
    return tensor / 255 if name.endswith("bias") else tensor


def _count(tensors: Tensors, pattern: str) -> int:
    return len({m.group(1) for name in tensors if (m := re.match(pattern, name))})


def _scale(tensors: Tensors, pattern: str) -> int:
    """The product of the pixel shuffles after the convolutions that match the pattern."""
    scale = 1
    for name, tensor in tensors.items():
        if re.fullmatch(pattern, name):
            scale *= round((tensor.shape[0] / tensor.shape[1]) ** 0.5)
    return scale


def _rename(
    tensors: Tensors, names: list[tuple[str, str]], changed: Callable[[str, Tensor], Tensor]
) -> dict[str, Tensor]:
    found = {}
    for name, tensor in tensors.items():
        if name.startswith(("sub_mean", "add_mean")):
            continue
        new = name
        for pattern, replacement in names:
            new = re.sub(pattern, replacement, new)
        wide = tensor.float() if tensor.is_floating_point() else tensor
        found[new] = changed(name, wide)
    return found


def _load(model: SRModel, tensors: dict[str, Tensor]) -> SRModel:
    model.load_state_dict(tensors)
    return model
