"""ONNX files as networks: those of `sr export` by their metadata, others by a probe."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn

from sr_cli.errors import RefusedError, SrError
from sr_cli.networks.base import InferenceNet
from sr_cli.registry.foreign import HALO, ForeignModel, Needs
from sr_cli.registry.graph_metadata import GraphMetadata, read_properties
from sr_cli.registry.loaded import LoadedModel, Traits
from sr_cli.registry.onnx_graph import read_signature
from sr_cli.registry.onnx_runtimes import Graph, OpenvinoGraph
from sr_cli.system.files import sha256_of

_PROBE_SIDE = 64
"""A multiple of what networks work on: strides, windows, folded pixels."""

_LARGEST_SCALE = 16
_UNLIKE = 0.25
"""The mean difference from the image above which a result is not its upscaled form."""

_ALIKE = 0.01
"""The root mean square difference of two runtimes: in int8, theirs is up to a third of it."""


class OnnxModel(ForeignModel):
    """A graph in its runtime as an SRModel: lr (N, C, h, w) in [0, 1] -> sr."""

    name = "onnx"

    def __init__(self, graph: Graph, *, scale: int, channels: int, top: float = 1.0) -> None:
        nn.Module.__init__(self)
        self.scale = scale
        self.config = {}
        self.net: _GraphNet = _GraphNet(graph, top)
        self._call = lambda net, x: net(x)
        self._channels = channels
        self.needs = Needs()
        self._halo = HALO

    @property
    def graph(self) -> Graph:
        """The file in its runtime."""
        return self.net.graph

    def count_parameters(self) -> int:
        """The numbers in the weights of the file."""
        return self.graph.signature.parameters

    def for_inference(self) -> InferenceNet:
        return _OnnxNet(self).eval()


class _GraphNet(nn.Module):
    def __init__(self, graph: Graph, top: float) -> None:
        super().__init__()
        self.graph = graph
        self.top = top

    def forward(self, lr: Tensor) -> Tensor:
        if self.top == 1.0:
            return self.graph.run_image(lr)
        return self.graph.run_image(lr * self.top) / self.top


class _OnnxNet(InferenceNet):
    """A graph in a precision, where its runtime has more than one."""

    def __init__(self, model: OnnxModel) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.channels_last = False
        self.bytes_per_pixel = model.graph.bytes_per_pixel

    def set_precision(self, dtype: torch.dtype) -> InferenceNet:
        self.model.net.graph = self.model.graph.at(dtype)
        return super().set_precision(dtype)

    def forward(self, lr: Tensor) -> Tensor:
        sr: Tensor = self.model(lr)
        return sr


def load_onnx(path: Path) -> LoadedModel:
    """Load an ONNX file.

    Args:
        path: The file. Nothing in it is trusted.

    Returns:
        The network; with traits from its metadata if sr wrote it, otherwise with a sha256, so that
        the engine measures them.

    Raises:
        SrError: As `read_signature`; `unsupported-graph` if it does not upscale images.
        RefusedError: `extra-missing`.
    """
    return _load(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=2)
def _load(path: Path, _: int) -> LoadedModel:
    signature = read_signature(path)
    try:
        metadata = read_properties(signature.properties)
    except msgspec.ValidationError as error:
        raise SrError("unreadable-graph", path, reason=f"metadata: {error}") from error
    graph = Graph(path, signature)
    if metadata is not None:
        channels = metadata.graph_channels
        if signature.channels == channels and _scale(graph, channels) == metadata.scale:
            return as_model(graph, metadata)
        raise SrError("unreadable-graph", path, reason="its metadata does not fit it")
    network = _probe(path, graph)
    # Networks of other tools with one channel are trained on gray from 0 to 255, not on luma.
    eight_bit = signature.dtype == "uint8"
    traits = Traits("onnx", half_is_safe=False, eight_bit=eight_bit)
    return LoadedModel(network, traits, sha256_of(path))


def as_model(graph: Graph, metadata: GraphMetadata) -> LoadedModel:
    """A graph of sr with the traits that its metadata states."""
    network = OnnxModel(graph, scale=metadata.scale, channels=metadata.graph_channels)
    return LoadedModel(network, metadata.traits)


def in_openvino(model: LoadedModel) -> LoadedModel:
    """The model in OpenVINO.

    OpenVINO leaves out what it does not know, without a word: of ONNX's Resize, `antialias` and
    two more attributes (2026.4.1). So both runtimes are compared on an image of noise.

    Raises:
        RefusedError: `unsupported-by-openvino` for all but ONNX files.
        SrError: `unsupported-by-openvino` if OpenVINO refuses its graph, or makes another image
            of it.
    """
    if not isinstance(model.network, OnnxModel):
        raise RefusedError("unsupported-by-openvino", hint="not-onnx", reason="not an ONNX file")
    if isinstance(model.network.graph, OpenvinoGraph):
        return model
    network = copy.deepcopy(model.network)
    network.net.graph = OpenvinoGraph(network.graph)
    shape = (1, network.channels, _PROBE_SIDE, _PROBE_SIDE)
    noise = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    expected = model.network(noise).clamp(0, 1)
    try:
        found = network(noise).clamp(0, 1)
    except RuntimeError as error:
        # Whatever OpenVINO raises.
        raise SrError("unsupported-by-openvino", reason=str(error)) from error
    if found.shape != expected.shape or not (found - expected).square().mean().sqrt() < _ALIKE:
        reason = "its result is another image than in ONNX Runtime"
        raise SrError("unsupported-by-openvino", reason=reason)
    return replace(model, network=network)


def _probe(path: Path, graph: Graph) -> OnnxModel:
    """Find channels, scale and value range by running the graph on a small image."""
    stated = graph.signature.channels
    for channels in (3, 1) if stated is None else (stated,):
        scale = _scale(graph, channels)
        if scale is None:
            continue
        tops = (1.0,) if graph.signature.dtype == "uint8" else (1.0, 255.0)
        networks = [OnnxModel(graph, scale=scale, channels=channels, top=top) for top in tops]
        unlike = [_difference(network) for network in networks]
        # Networks of convolutions alone nearly fit both ranges.
        best = 0 if unlike[0] <= 2 * unlike[-1] else 1
        if unlike[best] < _UNLIKE:
            return networks[best]
        reason = "its result does not look like its input"
        raise SrError("unsupported-graph", path, reason=reason)
    raise SrError("unsupported-graph", path, reason="it does not upscale an image of 64x64")


def _scale(graph: Graph, channels: int) -> int | None:
    """The scale of a graph that upscales an image with these channels; None for others."""
    try:
        sr = graph.run_image(torch.full((1, channels, _PROBE_SIDE, _PROBE_SIDE), 0.5))
    except Exception:
        # ONNX Runtime raises a type of its own for each kind of failure.
        return None
    if sr.ndim != 4 or sr.shape[:2] != (1, channels) or sr.shape[2] != sr.shape[3]:
        return None
    scale, rest = divmod(sr.shape[2], _PROBE_SIDE)
    return scale if rest == 0 and 1 <= scale <= _LARGEST_SCALE else None


def _difference(network: OnnxModel) -> float:
    """The mean difference between a gradient and its upscaled form, reduced again."""
    row = torch.linspace(0.1, 0.9, _PROBE_SIDE)
    lr = (row[:, None] + row.flip(0)[None]).div(2).expand(1, network.channels, -1, -1)
    try:
        sr = network(lr)
    except Exception:
        # As in `_scale`.
        return float("inf")
    difference = nn.functional.avg_pool2d(sr, network.scale) - lr
    return float(difference.abs().mean().nan_to_num(float("inf")))
