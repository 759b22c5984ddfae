"""Training for half precision: weights that bfloat16 holds exactly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def rounded(net: nn.Module, wanted: bool) -> Iterator[None]:
    """While it lasts, `net` has its weights rounded; gradients are taken there.

    The step goes from the weights as they were (straight through, Bengio et al., Estimating or
    Propagating Gradients Through Stochastic Neurons, 2013, section 4).
    """
    if not wanted:
        yield
        return
    exact = [(p, p.data) for p in net.parameters()]
    try:
        for parameter, data in exact:
            parameter.data = round_to_half(data)
        yield
    finally:
        for parameter, data in exact:
            parameter.data = data


def round_to_half(values: Tensor) -> Tensor:
    """The nearest values that bfloat16 holds, in the dtype that came."""
    return values.to(torch.bfloat16).to(values.dtype)


def all_rounded(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every floating tensor rounded."""
    return {n: round_to_half(t) if t.is_floating_point() else t for n, t in tensors.items()}
