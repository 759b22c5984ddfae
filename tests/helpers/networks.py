"""Small networks, and checkpoints of other tools with random weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch

from sr_cli.engine.device import cpu_precisions
from sr_cli.engine.pipeline import Pipeline, build_pipeline
from sr_cli.errors import SrError
from sr_cli.networks import create_model
from sr_cli.networks.base import SRModel
from sr_cli.registry.ref import ModelRef

SMALL = {
    "rcan": {"groups": 2, "blocks": 2, "features": 16, "reduction": 4},
    "edsr": {"blocks": 2, "features": 8},
    "srresnet": {"blocks": 2, "features": 8},
    "srgan": {"blocks": 2, "features": 8},
    "vdsr": {"layers": 5, "features": 8},
    "swift": {"blocks": 2, "features": 8},
}
"""Settings with which a network is quick, by its name."""

needs_bf16 = pytest.mark.skipif(
    "bf16" not in cpu_precisions(), reason="this CPU cannot compute in bf16"
)


def small_model(name: str, scale: int) -> SRModel:
    """A small configuration with lively random weights and batch statistics."""
    torch.manual_seed(1)
    model = create_model(name, scale=scale, **SMALL.get(name, {}))
    for part in model.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(part.weight, 0.2, 1)
        if isinstance(part, torch.nn.Conv2d):
            torch.nn.init.normal_(part.weight, std=0.7 / part.weight[0].numel() ** 0.5)
            torch.nn.init.normal_(part.bias, std=0.05)
    return model.eval()


def failing_for(name: str) -> Callable[..., Pipeline]:
    """As `build_pipeline`, but the model of this name cannot be read."""

    def build(refs: Sequence[ModelRef], *arguments: Any) -> Pipeline:
        if name in (ref.name for ref in refs):
            raise SrError("unreadable-checkpoint", name, reason="worn out")
        return build_pipeline(refs, *arguments)

    return build


def compact(scale: int, features: int = 8, seed: int = 0) -> dict[str, torch.Tensor]:
    """Tensors of a small network of the Compact kind (SRVGGNetCompact) that changes little."""
    torch.manual_seed(seed)
    shapes = [(features, 3), (features, features), (3 * scale * scale, features)]
    tensors = {}
    for place, (outputs, inputs) in zip((0, 2, 4), shapes, strict=True):
        tensors[f"body.{place}.weight"] = torch.randn(outputs, inputs, 3, 3) * 0.02
        tensors[f"body.{place}.bias"] = torch.zeros(outputs)
        if place < 4:
            tensors[f"body.{place + 1}.weight"] = torch.full((outputs,), 0.25)
    return tensors
