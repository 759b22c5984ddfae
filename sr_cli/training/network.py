"""The network in training: device, precision, initial and rounded weights, memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from sr_cli.engine.device import pick_precision
from sr_cli.errors import RefusedError
from sr_cli.networks.base import SRModel
from sr_cli.registry.ref import FileRef, parse_model
from sr_cli.training.recipe import Recipe

NetT = TypeVar("NetT", bound=nn.Module)


def to_device(network: NetT, device: torch.device) -> NetT:
    """Move a network to the device, in channels_last format, the fastest for convolutions."""
    return network.to(device).to(memory_format=torch.channels_last)


def training_precision(recipe: Recipe, device: torch.device) -> torch.dtype | None:
    """The half precision to train in, or None for float32.

    `auto` is bf16 if the GPU supports it or the CPU is measured to be faster with half precision;
    other CUDA devices use fp16 with scaled gradients.

    Raises:
        RefusedError: As `pick_precision`.
    """
    if recipe.precision != "auto":
        named = pick_precision(device, recipe.precision)
        return None if named is torch.float32 else named
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and pick_precision(device) is not torch.float32:
        return torch.bfloat16
    return None


def set_training_mode(model: SRModel, recipe: Recipe) -> None:
    """Set training mode, except for batch normalisation with frozen statistics."""
    model.train()
    if recipe.frozen_normalisation:
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()


def load_initial_weights(model: SRModel, checkpoint: str) -> None:
    """Load all tensors of a checkpoint that fit; another scale provides the body, not the tail.

    Args:
        model: The network to train; it is changed.
        checkpoint: The name of a model, as for `-m`.

    Raises:
        RefusedError: `weights-mismatch` if less than half of the weights fit.
        SrError: What loading the checkpoint raises.
    """
    ref = parse_model(checkpoint)
    scale = model.scale if model.scale in ref.scales() else None
    source = ref.load(scale).network.state_dict()
    own = model.state_dict()
    fitting = {k: v for k, v in source.items() if k in own and own[k].shape == v.shape}
    loaded = sum(v.numel() for v in fitting.values())
    if 2 * loaded < sum(v.numel() for v in own.values()):
        raise RefusedError(
            "weights-mismatch", checkpoint, network=model.name, config=str(model.config)
        )
    model.load_state_dict(own | fitting)


def absolute_model(checkpoint: str) -> str:
    """A name of a model that is valid from any folder: files become absolute paths."""
    is_file = isinstance(parse_model(checkpoint), FileRef)
    return str(Path(checkpoint).resolve()) if is_file else checkpoint


@contextmanager
def weights_in_bf16(network: nn.Module, wanted: bool) -> Iterator[None]:
    """Round the weights to bfloat16 while gradients are computed.

    The exact weights are restored at the end and get the update (straight-through estimator,
    Bengio et al., Estimating or Propagating Gradients Through Stochastic Neurons, 2013, section 4).
    """
    if not wanted:
        yield
        return
    exact = [(p, p.data) for p in network.parameters()]
    try:
        for parameter, data in exact:
            parameter.data = round_to_bf16(data)
        yield
    finally:
        for parameter, data in exact:
            parameter.data = data


def round_to_bf16(values: Tensor) -> Tensor:
    """Round to the nearest bfloat16 values, keeping the dtype."""
    return values.to(torch.bfloat16).to(values.dtype)


def round_all_to_bf16(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Round every floating-point tensor to the nearest bfloat16 values."""
    return {n: round_to_bf16(t) if t.is_floating_point() else t for n, t in tensors.items()}


def bytes_per_step(
    model: SRModel, recipe: Recipe, precision: torch.dtype | None, *, processes: int = 1
) -> int:
    """Estimate the memory of a training step, in bytes.

    The activations that are kept for gradients, times the batch, plus weights, gradients, averages
    and the moments of the optimiser.

    Args:
        model: On its device.
        recipe: Batch, crops and scales.
        precision: The half precision of autocast, or None.
        processes: The number of processes that share the batch.
    """
    device = next(model.parameters()).device
    kept: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    side = recipe.lr_patch + 2 * recipe.mirrored_margin
    crop = torch.zeros((1, model.channels, side, side), device=device)
    was_training = model.training
    model.eval()
    hooks: Any = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with hooks, torch.autocast(device.type, precision, enabled=precision is not None):
        model.scale = max(recipe.scales)
        sr = model(crop)
    model.train(was_training)
    for pointer in own & set(kept):
        del kept[pointer]
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    # Gradients of activations exist in addition, but not all at once.
    share = recipe.batch / processes
    return int(1.5 * share * (sum(kept.values()) + sr.numel() * 4)) + 5 * weights
