"""How a run starts: where, in which precision, from which weights."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from sr_cli.engine.device import pick_precision
from sr_cli.errors import RefusedError
from sr_cli.networks.base import SRModel
from sr_cli.registry.ref import parse_model
from sr_cli.training.recipe import Recipe

NetT = TypeVar("NetT", bound=nn.Module)


def place(network: NetT, device: torch.device) -> NetT:
    """On the device, in the memory layout in which convolutions are fastest."""
    return network.to(device).to(memory_format=torch.channels_last)


def training_precision(recipe: Recipe, device: torch.device) -> torch.dtype | None:
    """The half precision to compute in, or None for float32.

    `auto`: bf16 where the CPU is measured to be faster so or the graphics card has it, else
    fp16 (with scaled gradients) on CUDA. Raises RefusedError for one that this CPU has not.
    """
    if recipe.precision != "auto":
        named = pick_precision(device, recipe.precision)
        return None if named is torch.float32 else named
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and pick_precision(device) is not torch.float32:
        return torch.bfloat16
    return None


def begin_to_learn(model: SRModel, recipe: Recipe) -> None:
    """Into training mode; batch normalisations not where the recipe freezes their statistics."""
    model.train()
    if recipe.frozen_normalisation:
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()


def start_from(model: SRModel, checkpoint: str) -> None:
    """Take every tensor of `checkpoint` that fits: another scale gives its body, not its tail.

    Raises RefusedError when less than half of the weights fit.
    """
    ref = parse_model(checkpoint)
    scale = model.scale if model.scale in ref.scales() else None
    source = ref.load(scale).network.state_dict()
    own = model.state_dict()
    fitting = {k: v for k, v in source.items() if k in own and own[k].shape == v.shape}
    taken = sum(v.numel() for v in fitting.values())
    if 2 * taken < sum(v.numel() for v in own.values()):
        raise RefusedError(
            f"{checkpoint} has other layers or sizes than this {model.name}",
            f"sr models FILE shows what a checkpoint is; here: {model.config}",
        )
    model.load_state_dict(own | fitting)
