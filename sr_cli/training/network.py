"""The network in training: where and how precisely it computes, its initial and rounded weights."""

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
    """On the device, in the memory layout in which convolutions are fastest."""
    return network.to(device).to(memory_format=torch.channels_last)


def training_precision(recipe: Recipe, device: torch.device) -> torch.dtype | None:
    """The half precision to compute in, or None for float32.

    `auto`: bf16 where the CPU is measured to be faster so or the graphics card has it, else
    fp16 (with scaled gradients) on CUDA.

    Raises:
        RefusedError: For a precision that is not supported here.
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
    """Training mode, except for batch normalisations whose statistics the recipe freezes."""
    model.train()
    if recipe.frozen_normalisation:
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()


def load_initial_weights(model: SRModel, checkpoint: str) -> None:
    """Load every tensor of a checkpoint that fits: another scale gives its body, not its tail.

    Args:
        model: The network to train; it is changed.
        checkpoint: A model's name as `-m` takes it.

    Raises:
        RefusedError: `weights-mismatch` when less than half of the weights fit.
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
    """A model's name that holds from any folder: files as absolute paths, ids as they are."""
    is_file = isinstance(parse_model(checkpoint), FileRef)
    return str(Path(checkpoint).resolve()) if is_file else checkpoint


@contextmanager
def weights_in_bf16(network: nn.Module, wanted: bool) -> Iterator[None]:
    """Round the weights to what bfloat16 holds exactly; gradients are taken there.

    The update is applied to the exact weights, which come back at the end (straight through,
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
    """The nearest values that bfloat16 holds, in the dtype that came."""
    return values.to(torch.bfloat16).to(values.dtype)


def round_all_to_bf16(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every floating-point tensor rounded to what bfloat16 holds."""
    return {n: round_to_bf16(t) if t.is_floating_point() else t for n, t in tensors.items()}


def bytes_per_step(
    model: SRModel, recipe: Recipe, precision: torch.dtype | None, *, processes: int = 1
) -> int:
    """An estimate of the memory that a step with the recipe's batch takes.

    What one crop keeps for its gradients, times the batch; weights, gradients, averages and the
    optimiser's moments.

    Args:
        model: On its device.
        recipe: Batch, crops and scales.
        precision: The half precision of autocast, or None.
        processes: How many share the batch.
    """
    device = next(model.parameters()).device
    kept: dict[int, int] = {}
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    crop = torch.zeros((1, model.channels, recipe.lr_patch, recipe.lr_patch), device=device)
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
    # Gradients of activations live beside them, but never all at once.
    share = recipe.batch / processes
    return int(1.5 * share * (sum(kept.values()) + sr.numel() * 4)) + 5 * weights
