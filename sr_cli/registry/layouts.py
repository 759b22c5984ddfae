"""Layouts of checkpoints: where training tools put a network's weights, and under which names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

Tensors = Mapping[str, Tensor]

_NESTED_AT_MOST = 8

_AVERAGED = re.compile(r"(?:.*[_-])?(?:ema|swa|averaged)(?:[_-].*)?", re.IGNORECASE)
"""Names of averaged weights: params_ema (BasicSR), g_ema, net_g_ema, ema_model, swa_model."""

_WRAPPERS = (
    "params",
    "state_dict",
    "model_state_dict",
    "generator",
    "gen",
    "net_g",
    "netG",
    "G",
    "g",
    "model",
    "module",
    "network",
    "net",
    "weights",
)
"""Names under which a network lies beside other things, the likeliest first."""

_TRANSPARENT = re.compile(r"(^|\.)(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch.compile, FSDP and checkpointed activations insert anywhere in a name."""

_NOT_A_NETWORK = re.compile(
    r".*optim.*|.*sched.*|.*scaler.*|.*loss.*|callbacks|loops|discriminator|disc|net_?d|d",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Weights:
    """One set of weights that a file may hold.

    Attributes:
        tensors: By name, without what surrounds the network.
        place: The names under which they lie, joined by points; "" for those of the file itself.
        others: The places of the same weights that are not averaged; for averaged weights only.
    """

    tensors: dict[str, Tensor]
    place: str = ""
    others: tuple[str, ...] = ()


def find_weights(tensors: Tensors) -> list[Weights]:
    """The sets of weights in a file: averaged ones first, then as stored, then without wrappers.

    Names of wrappers may belong to the network itself (`model.0.weight` of ESRGAN), so that only
    an architecture can tell which set is meant.

    Args:
        tensors: By name, as `read_tensors` returns them.
    """
    plain = {_TRANSPARENT.sub(r"\1", name): tensor for name, tensor in tensors.items()}
    return list(_search(plain, (), ()))


def _search(
    tensors: dict[str, Tensor], place: tuple[str, ...], others: tuple[str, ...]
) -> Iterator[Weights]:
    # AveragedModel counts its updates in a tensor beside the network.
    tensors = {n: t for n, t in tensors.items() if n.rpartition(".")[2] != "n_averaged"}
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        first, point, rest = name.partition(".")
        if point and not _NOT_A_NETWORK.fullmatch(first):
            groups.setdefault(first, {})[rest] = tensor
    if len(place) >= _NESTED_AT_MOST:
        groups = {}
    averaged = [name for name in groups if _AVERAGED.fullmatch(name)]
    for name in averaged:
        beside = _places_beside(tensors, groups, name, place)
        yield from _search(groups[name], (*place, name), others or beside)
    if tensors:
        yield Weights(tensors, ".".join(place), others)
    inner = [name for name in _WRAPPERS if name in groups]
    if not inner and len(groups) == 1:
        inner = [name for name in groups if name not in averaged]
    for name in inner:
        yield from _search(groups[name], (*place, name), others)


def _places_beside(
    tensors: dict[str, Tensor],
    groups: dict[str, dict[str, Tensor]],
    averaged: str,
    place: tuple[str, ...],
) -> tuple[str, ...]:
    """Where else the averaged weights lie: in other groups, or in the names around them."""
    own = {_ending(name) for name in groups[averaged]}
    found = [
        ".".join((*place, name))
        for name, group in groups.items()
        if not _AVERAGED.fullmatch(name) and own <= {_ending(n) for n in group}
    ]
    return tuple(found)


def _ending(name: str) -> str:
    """A name without the wrappers at its beginning."""
    parts = name.split(".")
    while len(parts) > 2 and parts[0] in _WRAPPERS:
        parts = parts[1:]
    return ".".join(parts)
