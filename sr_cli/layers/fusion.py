"""Convolutions fused with the operation that follows them, on CPUs (oneDNN).

The sums are the same. Fusing an activation saves a pass over memory, and in half precision it is
computed before rounding. If PyTorch does not offer the operations, nothing is fused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn


def run_fused(x: Tensor, layer: nn.Conv2d | nn.Conv3d, name: str, numbers: list[float]) -> Tensor:
    """Compute a convolution and the operation after it, by its name in oneDNN. CPU only."""
    fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
        x,
        layer.weight,
        layer.bias,
        layer.padding,
        layer.stride,
        layer.dilation,
        1,
        name,
        numbers,
        "",
    )
    return fused


def in_channels_last(x: Tensor) -> Tensor:
    """(N, C, h, w), contiguous, with strides that select channels_last for one channel, too."""
    x = x.contiguous(memory_format=torch.channels_last)
    _n, c, h, w = x.shape
    return x if c > 1 or torch.compiler.is_compiling() else x.as_strided(x.shape, (h * w, 1, w, 1))


def add_to(total: Tensor, x: Tensor, layer: nn.Conv2d | nn.Conv3d) -> Tensor:
    """Compute `total + layer(x)` in place, summed before rounding. CPU only.

    Args:
        total: (N, outputs[, d], h, w), channels_last, of the dtype of `x`; it is overwritten.
        x: (N, inputs[, d], h, w).
        layer: The convolution.
    """
    added: Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
        total, x, layer.weight, layer.bias, layer.padding, layer.stride, layer.dilation, 1,
        "add", None, None, [], None,
    )  # fmt: skip
    return added


def sum_of(layers: Iterable[nn.Module], inputs: Sequence[Tensor]) -> Tensor:
    """The sum of convolutions, one for each input (N, inputs, h, w)."""
    first, *others = layers
    total: Tensor = first(inputs[0])
    for layer, x in zip(others, inputs[1:], strict=True):
        assert isinstance(layer, nn.Conv2d)
        if x.device.type != "cpu" or torch.compiler.is_compiling() or not fusion_works():
            total = total + layer(x)
        else:
            total = add_to(in_channels_last(total), x, layer)
    return total


class FusedConvolution(nn.Module):
    """A convolution and the activation after it in one operation."""

    def __init__(self, layer: nn.Conv2d, name: str, numbers: list[float]) -> None:
        super().__init__()
        self.layer = layer
        self.name = name
        self.numbers = numbers

    def forward(self, x: Tensor) -> Tensor:
        return run_fused(x, self.layer, self.name, self.numbers)


def convolve(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """`layer(x)` by oneDNN, which PyTorch does not use for 1x1 kernels on one thread. CPU only."""
    return run_fused(x, layer, "none", [])


class Residual(nn.Module):
    """x + branch(x)."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.branch(x)
        return x + branch


class FusedResidual(nn.Module):
    """x + branch(x), summed by the last convolution of the branch; x is overwritten."""

    def __init__(self, branch: nn.Sequential) -> None:
        super().__init__()
        *first, last = branch
        assert isinstance(last, nn.Conv2d)
        self.first = nn.Sequential(*first)
        self.last = last
        self.overwrites_early = any(isinstance(m, FusedResidual) for m in first)

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        seen = x.clone() if self.overwrites_early else x
        return add_to(x, self.first(seen), self.last)


def _name_of(activation: nn.Module) -> tuple[str, list[float]] | None:
    """The name and parameters in oneDNN of an activation that it can fuse, or None."""
    if isinstance(activation, nn.ReLU):
        return "relu", []
    if isinstance(activation, nn.LeakyReLU):
        return "leaky_relu", [activation.negative_slope]
    if isinstance(activation, nn.Tanh):
        return "tanh", []
    if isinstance(activation, nn.Sigmoid):
        return "sigmoid", []
    return None


def _can_fuse(layer: nn.Conv2d) -> bool:
    on_cpu = layer.weight.device.type == "cpu"
    return on_cpu and layer.padding_mode == "zeros" and layer.groups == 1


def fuse(net: nn.Module) -> None:
    """Fuse, in place, convolutions with the activation after them and with residual sums.

    A `Residual` then overwrites its input: no other part of the network may read that.
    """
    if fusion_works():
        _fuse_activations(net)
        _fuse_residuals(net)


def _fuse_residuals(net: nn.Module) -> None:
    for name, part in net.named_children():
        _fuse_residuals(part)
        if isinstance(part, Residual):
            last = part.branch[-1]
            if isinstance(last, nn.Conv2d) and _can_fuse(last):
                setattr(net, name, FusedResidual(part.branch))


def _fuse_activations(net: nn.Module) -> None:
    for part in list(net.modules()):
        if not isinstance(part, nn.Sequential):
            continue
        layers: list[nn.Module] = []
        for layer in part:
            named = _name_of(layer)
            before = layers[-1] if layers else layer
            if named and isinstance(before, nn.Conv2d) and _can_fuse(before):
                layers[-1] = FusedConvolution(before, *named)
            else:
                layers.append(layer)
        layers = [_by_onednn(layer) for layer in layers]
        if layers != list(part):
            for name in list(part._modules):
                del part._modules[name]
            for index, layer in enumerate(layers):
                part._modules[str(index)] = layer


def _by_onednn(layer: nn.Module) -> nn.Module:
    """A 1x1 convolution as `convolve` computes it; any other layer unchanged."""
    if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1) and _can_fuse(layer):
        return FusedConvolution(layer, "none", [])
    return layer


@lru_cache
@torch.inference_mode()
def fusion_works() -> bool:
    """Whether this PyTorch has the fused operations and they return correct results."""
    layer = nn.Conv2d(3, 4, 3, padding=1)
    x = torch.linspace(-1, 1, 3 * 6 * 5).view(1, 3, 6, 5)
    other = torch.linspace(0, 1, 4 * 6 * 5).view(1, 4, 6, 5)
    try:
        same = [
            torch.allclose(run_fused(x, layer, "tanh", []), layer(x).tanh(), atol=1e-5),
            torch.allclose(run_fused(x, layer, "sigmoid", []), layer(x).sigmoid(), atol=1e-5),
            torch.allclose(run_fused(x, layer, "relu", []), layer(x).relu(), atol=1e-5),
            torch.allclose(convolve(x, layer), layer(x), atol=1e-5),
            torch.allclose(
                run_fused(x, layer, "leaky_relu", [0.2]),
                nn.functional.leaky_relu(layer(x), 0.2),
                atol=1e-5,
            ),
            torch.allclose(add_to(other.clone(), x, layer), layer(x) + other, atol=1e-5),
        ]
    except (AttributeError, RuntimeError, TypeError):
        return False
    return all(same)


def runs_in_half(features: Tensor) -> bool:
    """Whether the last convolutions run in half precision, too, where these features are.

    They compute small differences, to which the image is added in float32 by fused sums.
    """
    return features.device.type == "cpu" and fusion_works()
