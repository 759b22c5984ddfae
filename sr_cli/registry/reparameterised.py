"""Convolutions that are trained as several and fused for inference, in both forms.

SPAN's Conv3XC (Wan et al., "Swift Parameter-free Attention Network", 2023, section 3.3) is a chain
of a 1x1, a 3x3 and a 1x1 convolution (`conv.0`, `conv.1`, `conv.2`) plus a 1x1 convolution (`sk`).
All of it is linear, so it equals one 3x3 convolution, `eval_conv`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Tensors = Mapping[str, Tensor]

_PARTS = ("conv.0", "conv.1", "conv.2", "sk")
_EXPANSION = 2
"""How many times the channels the inner convolutions of SPAN have."""

_OF_SPAN = re.compile(r"(conv_[12]|block_\d+\.c\d_r)\.(weight|bias)")


def other_forms(tensors: Tensors) -> Iterator[dict[str, Tensor]]:
    """The same weights in the other forms: both forms side by side, then fused alone.

    Args:
        tensors: By name.

    Yields:
        Nothing for weights without such convolutions.
    """
    renamed = {_OF_SPAN.sub(r"\1.eval_conv.\2", name): t for name, t in tensors.items()}
    if not any(name.endswith(".eval_conv.weight") for name in renamed):
        renamed = dict(tensors)
    places = [
        n.removesuffix(".eval_conv.weight") for n in renamed if n.endswith(".eval_conv.weight")
    ]
    places += [n.removesuffix(".sk.weight") for n in renamed if n.endswith(".sk.weight")]
    places = [p for p in dict.fromkeys(places) if _is_complete(renamed, p)]
    if not places:
        return
    both, fused = dict(renamed), dict(renamed)
    for place in places:
        parts = {n: t for n, t in renamed.items() if n.startswith(f"{place}.")}
        for name in parts:
            del fused[name]
        weight, bias = _fused(renamed, place)
        fused |= {f"{place}.weight": weight, f"{place}.bias": bias}
        both |= _expanded(place, weight, bias) | parts
        both |= {f"{place}.eval_conv.weight": weight, f"{place}.eval_conv.bias": bias}
    yield both
    yield fused


def fuse_modules(net: nn.Module) -> None:
    """Replace every Conv3XC by the one convolution that it equals, in place.

    spandrel's module composes its convolution in every call, in the precision of the call.
    """
    for parent in list(net.modules()):
        for name, part in list(parent.named_children()):
            if hasattr(part, "eval_conv") and hasattr(part, "update_params"):
                # Its attributes have the types of any module's.
                part.update_params()  # type: ignore[operator]
                if not getattr(part, "has_relu", False):
                    setattr(parent, name, part.eval_conv)


def _is_complete(tensors: Tensors, place: str) -> bool:
    """Whether all tensors of at least one form are there."""

    def has(*parts: str) -> bool:
        return all(f"{place}.{p}.{kind}" in tensors for p in parts for kind in ("weight", "bias"))

    return has(*_PARTS) or has("eval_conv")


def _fused(tensors: Tensors, place: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of the one convolution; composed from the trained form where it is there."""
    if f"{place}.sk.weight" not in tensors:
        return tensors[f"{place}.eval_conv.weight"], tensors[f"{place}.eval_conv.bias"]
    weights, biases = (
        [tensors[f"{place}.{part}.{kind}"].double() for part in _PARTS]
        for kind in ("weight", "bias")
    )
    (first, middle, last, skip), (b_first, b_middle, b_last, b_skip) = weights, biases
    weight = torch.einsum("om,mihw,ij->ojhw", last[..., 0, 0], middle, first[..., 0, 0])
    bias = torch.einsum("mihw,i->m", middle, b_first) + b_middle
    weight = weight + F.pad(skip, (1, 1, 1, 1))
    bias = last[..., 0, 0] @ bias + b_last + b_skip
    return weight.float(), bias.float()


def _expanded(place: str, weight: Tensor, bias: Tensor) -> dict[str, Tensor]:
    """The trained form of one convolution: identities around it, and a skip of zero."""
    outputs, inputs = weight.shape[:2]

    def identity(rows: int, columns: int) -> Tensor:
        return torch.eye(rows, columns, dtype=weight.dtype)[..., None, None]

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(shape, dtype=weight.dtype)

    middle = zeros(_EXPANSION * outputs, _EXPANSION * inputs, 3, 3)
    middle[:outputs, :inputs] = weight
    parts = {
        "conv.0.weight": identity(_EXPANSION * inputs, inputs),
        "conv.0.bias": zeros(_EXPANSION * inputs),
        "conv.1.weight": middle,
        "conv.1.bias": torch.cat([bias, zeros(outputs)]),
        "conv.2.weight": identity(outputs, _EXPANSION * outputs),
        "conv.2.bias": zeros(outputs),
        "sk.weight": zeros(outputs, inputs, 1, 1),
        "sk.bias": zeros(outputs),
    }
    return {f"{place}.{name}": tensor for name, tensor in parts.items()}
