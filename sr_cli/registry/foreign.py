"""Checkpoints of other tools: converted to networks of sr, or run through spandrel."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from sr_cli.errors import RefusedError, SrError
from sr_cli.layers.edges import mirror_beyond
from sr_cli.networks.base import InferenceNet, SRModel
from sr_cli.registry.converters import LAYOUTS, convert_tensors
from sr_cli.registry.loaded import LoadedModel, Traits, as_loaded, default_value_range
from sr_cli.registry.tensors import read_tensors

HALO = 32
"""Context in lr pixels for networks that do not declare a receptive radius."""

_PREFIXES = ("module.", "netG.", "generator.", "model.")
_WRAPPED_AT_MOST = 3
_PURPOSES = ("SR", "FaceSR", "Restoration")


class ForeignModel(SRModel):
    """A network of another tool as an SRModel: lr (N, C, h, w) in [0, 1] -> sr.

    Sizes that the network does not support are padded by mirroring and cropped again.
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
        needs = descriptor.size_requirements
        self.least = int(needs.minimum)
        self.multiple = int(needs.multiple_of)
        self.square = bool(needs.square)
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
        h, w = lr.shape[-2:]
        height, width = (self._supported_side(n) for n in (h, w))
        if self.square:
            height = width = max(height, width)
        sr: Tensor = self._call(self.net, mirror_beyond(lr, below=height - h, right=width - w))
        return sr[..., : h * self.scale, : w * self.scale]

    @torch.inference_mode()
    def runs_in_half(self) -> bool:
        """Whether the network runs in bf16.

        Some networks create float32 tensors on the way, which cannot be mixed with bf16.
        """
        side = self._supported_side(24)
        try:
            net = copy.deepcopy(self.net).eval().to(torch.bfloat16)
            self._call(net, torch.zeros(1, self._channels, side, side, dtype=torch.bfloat16))
        except Exception:
            # Networks of other tools raise errors of any type.
            return False
        return True

    def _supported_side(self, side: int) -> int:
        side = max(side, self.least)
        return -(-side // self.multiple) * self.multiple

    def for_inference(self) -> InferenceNet:
        return _WholeNet(self.frozen_copy()).eval()


class _WholeNet(InferenceNet):
    """A foreign network in one precision: which parts need float32 is not known."""

    def __init__(self, model: ForeignModel) -> None:
        super().__init__()
        self.model = model
        for module in model.modules():
            if isinstance(module, nn.GroupNorm):
                # In channels_last PyTorch's CPU kernel takes the variance as E[x^2] - E[x]^2, which
                # loses it where the mean is large (PyTorch 2.13 and 2.14).
                module.register_forward_pre_hook(_make_contiguous)

    def half_parts(self) -> list[nn.Module]:
        return [self.model]

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.model(lr.to(self.half_dtype))
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
    candidates = strip_prefixes(read_tensors(path))
    for tensors in candidates:
        if (ours := convert_tensors(tensors)) is not None:
            return as_loaded(ours)
    if spandrel is None:
        raise RefusedError("extra-missing", path, extra="foreign")
    for tensors in candidates:
        try:
            found: Any = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(tensors))
        except Exception:
            # spandrel guesses the architecture from the names; a wrong guess raises any type.
            continue
        return _adapt(path, found)
    raise SrError("unknown-architecture", path, known=known_architectures())


def _adapt(path: Path, descriptor: Any) -> LoadedModel:
    """Wrap the network, with the traits that spandrel declares and a probe finds."""
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
    declared = bool(descriptor.supports_half and descriptor.supports_bfloat16)
    traits = Traits(
        architecture,
        network.receptive_radius,
        half_is_safe=declared and network.runs_in_half(),
        size_multiple=network.multiple,
        smallest_side=network.least,
        value_range=default_value_range(network.channels),
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


def strip_prefixes(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The tensors as they are, then without the prefixes that wrappers add to all names."""
    found = [dict(tensors)]
    while len(found) <= _WRAPPED_AT_MOST:
        names = list(found[-1])
        prefix = next((p for p in _PREFIXES if all(n.startswith(p) for n in names)), None)
        if prefix is None or not names:
            break
        found.append({n.removeprefix(prefix): t for n, t in found[-1].items()})
    return found
