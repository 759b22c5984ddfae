"""`export_model`: a model as a file for another runtime, verified before it is written."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sr_cli.errors import SrError
from sr_cli.export.graph import PixelNet
from sr_cli.export.half import in_half, rounded
from sr_cli.export.litert_file import TileGraph, convert_net, quantise_net
from sr_cli.export.litert_file import with_metadata as with_tile_metadata
from sr_cli.export.onnx_file import export_graph, gates_of, layers_of, with_metadata
from sr_cli.export.pt2_file import export_program, open_program, write_program
from sr_cli.export.quantise import (
    ALLOWED_COST,
    Cost,
    choose_images,
    fitted,
    measure_cost,
    quantise,
)
from sr_cli.export.request import DEFAULT_TILE, FORMATS, ExportRequest, check_output
from sr_cli.export.source import Source, choose_model, default_name, load_source
from sr_cli.export.verify import TOLERANCES, largest_difference, largest_pixel_difference
from sr_cli.imaging.colour import LUMA_RANGE, LUMA_WEIGHTS
from sr_cli.registry.graph_metadata import GraphMetadata
from sr_cli.registry.onnx_graph import Signature
from sr_cli.registry.onnx_model import as_model
from sr_cli.registry.onnx_runtimes import Graph
from sr_cli.system.files import atomic_write

_EXAMPLE = (2, 13, 17)
"""Batch, height and width with which a network is traced: different, so that none is mistaken."""


@dataclass(frozen=True)
class ExportResult:
    """A file that was written.

    Attributes:
        path: The file.
        bytes: Its size.
        format: `onnx`, `pt2` or `litert`.
        metadata: What the file says about itself, with what the verification found.
    """

    path: Path
    bytes: int
    format: str
    metadata: GraphMetadata


def export_model(request: ExportRequest) -> ExportResult:
    """Export a model, verify the result in its own runtime, and write it.

    Args:
        request: What to export.

    Returns:
        The file and what it says about itself.

    Raises:
        RefusedError: As `ExportRequest.check` and `choose_model`.
        SrError: What loading the model raises; `export-failed`, `export-differs`,
            `quantisation-cost`; `unwritable-file`, `already-exists`. Then nothing is written.
    """
    request.check()
    ref, scale = choose_model(request.model, request.scale, request.strength)
    kind = request.chosen_format
    path = request.output or Path(default_name(ref, scale) + FORMATS[kind])
    check_output(path, request.overwrite)
    source = load_source(ref, scale)
    try:
        content, metadata = _MAKERS[kind](source, request)
    except SrError as error:
        raise error.about(ref.name) from error.__cause__
    with atomic_write(path, overwrite=request.overwrite) as file:
        file.write(content)
    return ExportResult(path, len(content), kind, metadata)


def _as_onnx(source: Source, request: ExportRequest) -> tuple[bytes, GraphMetadata]:
    """The content of an ONNX file, verified."""
    metadata = msgspec.structs.replace(
        source.metadata,
        pixels="uint8" if request.uint8 else "float",
        layout="nhwc" if request.uint8 else "nchw",
        precision=request.precision,
    )
    if request.precision == "int8":
        return _as_int8(source, metadata, request)
    allowed = TOLERANCES[metadata.precision] if metadata.pixels == "float" else 1 / 255
    for net in source.forms():
        traced = _trace(source.continued(net), metadata, request.opset)
        model = traced if request.precision == "fp32" else in_half(traced)
        checked = [model] if request.precision == "fp32" else [model, rounded(traced)]
        difference = max(_difference_of(source, graph, metadata) for graph in checked)
        if difference <= allowed:
            break
        # ESPCN's sigmoids are not precise enough in float16.
    metadata = _accepted(metadata, difference, allowed)
    return with_metadata(model, metadata), metadata


def _as_int8(
    source: Source, metadata: GraphMetadata, request: ExportRequest
) -> tuple[bytes, GraphMetadata]:
    """The content of an int8 file, with what it costs.

    Raises:
        SrError: `quantisation-cost` for more than 0.1 dB, unless it is forced.
    """
    images = choose_images(request.calibrate)
    inputs = [_as_input(tile, metadata) for tile in images.calibration]
    found = []
    for net in source.forms():
        model = _trace(source.continued(net), metadata, request.opset)
        gates = gates_of(model)
        layers = [name for name in layers_of(model)[1:-1] if name not in gates]
        if not layers:
            raise SrError("export-failed", reason="no layers between the first and the last")
        model = quantise(model, inputs, layers)
        graph = open_graph(with_metadata(model, metadata), metadata)
        cost = measure_cost(source.loaded, as_model(graph, metadata), images.held_back)
        found.append((cost, model))
        if cost.psnr <= ALLOWED_COST:
            break
        # ESPCN's sigmoids lose far more than its tanh.
    cost, model = min(found, key=lambda pair: pair[0].psnr)
    metadata = _with_cost(metadata, cost, request.force)
    return with_metadata(model, metadata), metadata


def _with_cost(metadata: GraphMetadata, cost: Cost, force: bool) -> GraphMetadata:
    """The metadata with what int8 costs.

    Raises:
        SrError: `quantisation-cost` for more than 0.1 dB, unless it is forced.
    """
    if cost.psnr > ALLOWED_COST and not force:
        raise SrError("quantisation-cost", cost=cost.psnr, levels=cost.levels, allowed=ALLOWED_COST)
    return msgspec.structs.replace(
        metadata, psnr_cost=round(cost.psnr, 4), largest_difference=cost.levels / 255
    )


def _as_litert(source: Source, request: ExportRequest) -> tuple[bytes, GraphMetadata]:
    """The content of a LiteRT file, verified."""
    metadata = msgspec.structs.replace(
        source.metadata,
        layout=request.layout or "nhwc",
        tile=request.tile or DEFAULT_TILE,
        precision=request.precision,
    )
    tile = request.tile or DEFAULT_TILE
    images = choose_images(request.calibrate)
    inputs = [_as_input(fitted(pixels, tile), metadata) for pixels in images.calibration]
    example, difference = torch.from_numpy(inputs[0]), math.inf
    for net in source.for_tile(tile, metadata.layout):
        content = convert_net(net, example)
        if request.precision == "int8":
            content = quantise_net(content, inputs)
        content = with_tile_metadata(content, metadata)
        graph = TileGraph(content, metadata)
        if request.precision == "int8":
            cost = measure_cost(source.loaded, as_model(graph, metadata), images.held_back)
            metadata = _with_cost(metadata, cost, request.force)
            return with_tile_metadata(content, metadata), metadata
        difference = largest_difference(source.loaded, graph.run_image, [(3, tile, tile)])
        if difference <= TOLERANCES["fp32"]:
            break
        # ESPCN's sigmoids, which make it fast in PyTorch, are not precise enough in XNNPACK.
    metadata = _accepted(metadata, difference, TOLERANCES["fp32"])
    return with_tile_metadata(content, metadata), metadata


def _as_input(tile: NDArray[Any], metadata: GraphMetadata) -> NDArray[Any]:
    """Pixels (h, w, 3) as the graph takes them."""
    if metadata.pixels == "uint8":
        return tile[None]
    values = tile / 255
    if metadata.channels == 1:
        reach = (metadata.white - metadata.black) / LUMA_RANGE
        values = (values @ LUMA_WEIGHTS * reach + metadata.black)[..., None]
    values = values if metadata.layout == "nhwc" else values.transpose(2, 0, 1)
    return np.ascontiguousarray(values[None], np.float32)


def _as_pt2(source: Source, _: ExportRequest) -> tuple[bytes, GraphMetadata]:
    """The content of a .pt2 file, verified."""
    batch, h, w = _EXAMPLE
    example = torch.rand(batch, source.metadata.channels, h, w)
    program = export_program(source.continued(next(source.forms())), example)
    network = open_program(write_program(program, source.metadata))
    metadata = _accepted(
        source.metadata, largest_difference(source.loaded, network), TOLERANCES["fp32"]
    )
    return write_program(program, metadata), metadata


_MAKERS = {"onnx": _as_onnx, "pt2": _as_pt2, "litert": _as_litert}


def _trace(net: nn.Module, metadata: GraphMetadata, opset: int) -> Any:
    """The graph of a continued network, in float32."""
    batch, h, w = _EXAMPLE
    if metadata.pixels == "float":
        example = torch.rand(batch, metadata.channels, h, w)
        return export_graph(net, example, layout=metadata.layout, opset=opset)
    pixels = PixelNet(
        net,
        scale=metadata.scale,
        channels=metadata.channels,
        black=metadata.black,
        white=metadata.white,
    ).eval()
    example = torch.randint(0, 256, (batch, h, w, 3), dtype=torch.uint8)
    return export_graph(pixels, example, layout=metadata.layout, opset=opset)


def _difference_of(source: Source, model: Any, metadata: GraphMetadata) -> float:
    """The largest difference that running a graph in ONNX Runtime finds."""
    graph = open_graph(with_metadata(model, metadata), metadata)
    if metadata.pixels == "float":
        return largest_difference(source.loaded, graph.run_image)
    return largest_pixel_difference(source.loaded, lambda lr: graph.run(lr[None])[0]) / 255


def _accepted(metadata: GraphMetadata, difference: float, allowed: float) -> GraphMetadata:
    """The metadata with the largest difference from PyTorch.

    Raises:
        SrError: `export-differs` if it is too large, `export-failed` if it is infinite.
    """
    if math.isinf(difference):
        raise SrError("export-failed", reason="values beyond the range of its precision")
    if difference > allowed:
        raise SrError("export-differs", difference=difference, allowed=allowed)
    return msgspec.structs.replace(metadata, largest_difference=difference)


def open_graph(content: bytes, metadata: GraphMetadata) -> Graph:
    """An exported graph in ONNX Runtime."""
    in_pixels = metadata.pixels == "uint8"
    signature = Signature(
        "lr",
        "uint8" if in_pixels else "float32",
        metadata.layout,
        3 if in_pixels else metadata.channels,
        0,
        {},
    )
    return Graph(content, signature)
