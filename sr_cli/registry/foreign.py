"""Checkpoints of other tools: converted to networks of sr, or run through spandrel."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from sr_cli.errors import Note, RefusedError, SrError
from sr_cli.layers.dense import DenseBlocks
from sr_cli.layers.edges import mirror_beyond
from sr_cli.networks.base import InferenceNet, SRModel
from sr_cli.registry.converters import LAYOUTS, convert_tensors
from sr_cli.registry.layouts import Tensors, Weights, find_weights
from sr_cli.registry.loaded import LoadedModel, Traits, as_loaded
from sr_cli.registry.reparameterised import fuse_modules, other_forms
from sr_cli.registry.rrdb import accelerate as accelerate_rrdb
from sr_cli.registry.tensors import read_tensors
from sr_cli.system.files import sha256_of

HALO = 32
"""Context in lr pixels for networks that do not declare a receptive radius."""

_PURPOSES = ("SR", "FaceSR", "Restoration")


@dataclass(frozen=True)
class Needs:
    """What a network requires of its caller.

    Attributes:
        least: The smallest side of an input, in lr pixels.
        multiple: Of which the sides of an input must be multiples.
        square: Whether inputs must be squares.
        fresh: Whether every call needs a fresh copy, because the network keeps state between calls.
        channels_last: Whether the network works in channels_last and is no slower so.
    """

    least: int = 1
    multiple: int = 1
    square: bool = False
    fresh: bool = False
    channels_last: bool = True


class ForeignModel(SRModel):
    """A network of another tool as an SRModel: lr (N, C, h, w) in [0, 1] -> sr.

    Sizes that the network does not support are padded by mirroring and cropped again. Networks may
    change their input in place or let the images of a batch depend on each other: each image is
    computed alone, from a copy.
    """

    name = "foreign"
    paper = "see its architecture"

    def __init__(self, descriptor: Any) -> None:
        nn.Module.__init__(self)
        self.scale = int(descriptor.scale)
        self.config = {}
        self.net: nn.Module = descriptor.model
        # How to call the network, and which of its outputs is the image.
        self._call = getattr(descriptor, "_call_fn", None) or (lambda net, x: net(x))
        self._channels = int(descriptor.input_channels)
        declared = descriptor.size_requirements
        self.needs = Needs(
            max(1, int(declared.minimum)), int(declared.multiple_of), bool(declared.square)
        )
        reach = _receptive_radius(self.net)
        self._halo = HALO if reach is None else min(HALO, reach)

    # A class attribute in SRModel; here it depends on the file.
    @property
    def channels(self) -> Literal[1, 3]:  # type: ignore[override]
        return cast(Literal[1, 3], self._channels)

    @property
    def receptive_radius(self) -> int | None:
        return self._halo

    def forward(self, lr: Tensor) -> Tensor:
        # An exported graph has batches of any size; exporting compares it with single images.
        if not torch.compiler.is_compiling() and len(lr) > 1:
            return torch.cat([self(image[None]) for image in lr])
        h, w = lr.shape[-2:]
        height, width = (self._supported_side(n) for n in (h, w))
        if self.needs.square:
            height = width = max(height, width)
        own = mirror_beyond(lr, below=height - h, right=width - w)
        net = copy.deepcopy(self.net) if self.needs.fresh else self.net
        sr: Tensor = self._call(net, own.clone() if own is lr else own)
        return sr[..., : h * self.scale, : w * self.scale]

    def _supported_side(self, side: int) -> int:
        side = max(side, self.needs.least)
        return -(-side // self.needs.multiple) * self.needs.multiple

    def for_inference(self) -> InferenceNet:
        return _WholeNet(self.frozen_copy()).eval()


class _WholeNet(InferenceNet):
    """A foreign network in one precision: which parts need float32 is not known."""

    def __init__(self, model: ForeignModel) -> None:
        super().__init__()
        self.model = model
        self.channels_last = model.needs.channels_last
        fuse_modules(model.net)
        for module in model.modules():
            if isinstance(module, nn.GroupNorm):
                # In channels_last PyTorch's CPU kernel takes the variance as E[x^2] - E[x]^2, which
                # loses it where the mean is large (PyTorch 2.13 and 2.14).
                module.register_forward_pre_hook(_make_contiguous)

    def half_parts(self) -> list[nn.Module]:
        return [self.model]

    def fuse(self) -> None:
        self.seen_in_strips = accelerate_rrdb(self.model.net)
        dense = [m for m in self.modules() if isinstance(m, DenseBlocks)]
        numbers = sum(m.numbers_per_pixel for m in dense)
        self.bytes_per_pixel = numbers * self.half_dtype.itemsize
        super().fuse()

    def forward(self, lr: Tensor) -> Tensor:
        lr = lr.to(self.half_dtype)
        sr: Tensor = self.model(lr if self.channels_last else lr.contiguous())
        return sr.float()


def _make_contiguous(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(x.contiguous() if isinstance(x, Tensor) else x for x in inputs)


def _receptive_radius(net: nn.Module) -> int | None:
    """The receptive radius of a plain chain of convolutions; None for other networks."""
    plain = (nn.Conv2d, nn.PReLU, nn.ReLU, nn.LeakyReLU, nn.PixelShuffle, nn.Upsample)
    leaves = [m for m in net.modules() if not list(m.children())]
    if not leaves or not all(isinstance(m, plain) for m in leaves):
        return None
    return sum((m.kernel_size[0] // 2) * m.dilation[0] for m in leaves if isinstance(m, nn.Conv2d))


def load_foreign(path: Path) -> LoadedModel:
    """Load the checkpoint of another tool. No code in the file is run.

    Args:
        path: The file.

    Raises:
        SrError: As `read_tensors`; `unknown-architecture`, `not-for-upscaling`,
            `unsupported-channels`.
        RefusedError: `extra-missing` if spandrel is needed and not installed.
    """
    return _load(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=2)
def _load(path: Path, _: int) -> LoadedModel:
    try:
        import spandrel
    except ImportError:
        spandrel = None
    candidates = find_weights(read_tensors(path))
    for weights in candidates:
        if (ours := convert_tensors(weights.tensors)) is not None:
            return replace(as_loaded(ours), sha256=sha256_of(path), notes=_notes(weights))
    if spandrel is None:
        raise RefusedError("extra-missing", path, extra="foreign")
    loader = spandrel.ModelLoader(device="cpu")
    for weights in candidates:
        if (found := _describe(loader, weights.tensors)) is not None:
            loaded = _adapt(path, found)
            return replace(loaded, sha256=sha256_of(path), notes=_notes(weights))
    raise SrError("unknown-architecture", path, known=known_architectures())


def _describe(loader: Any, tensors: Tensors) -> Any | None:
    """The network and what spandrel knows about it, or None if it knows no such architecture."""
    for form in (tensors, *other_forms(tensors)):
        try:
            return loader.load_from_state_dict(dict(form))
        except Exception:
            # spandrel guesses the architecture from the names; a wrong guess raises any type.
            continue
    return None


def _notes(weights: Weights) -> tuple[Note, ...]:
    if not weights.others:
        return ()
    return (Note("averaged-weights", {"used": weights.place, "others": list(weights.others)}),)


def _adapt(path: Path, descriptor: Any) -> LoadedModel:
    """Wrap the network, with the traits that spandrel declares."""
    architecture = str(descriptor.architecture.name)
    purpose = getattr(descriptor, "purpose", "")
    if purpose not in _PURPOSES:
        raise SrError("not-for-upscaling", path, architecture=architecture, purpose=purpose)
    channels = descriptor.input_channels, descriptor.output_channels
    if channels not in ((3, 3), (1, 1)):
        raise SrError(
            "unsupported-channels",
            path,
            architecture=architecture,
            inputs=channels[0],
            outputs=channels[1],
        )
    network = ForeignModel(descriptor.eval())
    # Networks of other tools with one channel are trained on gray from 0 to 255, not on luma.
    # Until it is measured, no half precision is safe.
    traits = Traits(
        architecture,
        network.receptive_radius,
        half_is_safe=False,
        size_multiple=network.needs.multiple,
        smallest_side=network.needs.least,
        value_range=(0.0, 1.0),
    )
    return LoadedModel(network, traits)


def known_architectures() -> list[str]:
    """The supported architectures, as text for messages."""
    kinds = [f"{network} ({whose})" for network, whose in LAYOUTS.items()]
    try:
        import spandrel
    except ImportError:
        return kinds
    return kinds + sorted(str(a.architecture.name) for a in spandrel.MAIN_REGISTRY.architectures())
