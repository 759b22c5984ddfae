"""A network as a LiteRT file (.tflite): for one size of tile, with what stitching needs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_cli.errors import SrError
from sr_cli.export.onnx_file import INPUT, OUTPUT, innermost_line, quiet
from sr_cli.registry.graph_metadata import GraphMetadata
from sr_cli.registry.onnx_graph import Signature
from sr_cli.registry.onnx_runtimes import Graph

METADATA = "sr.json"
"""The entry of `Model.metadata` (schema.fbs of LiteRT) with the metadata as one JSON object."""

_IDENTIFIER = b"TFL3"
_SIGNATURE = "serving_default"


def convert_net(net: nn.Module, example: Tensor) -> bytes:
    """Convert a network for inputs of one shape.

    Args:
        net: In evaluation mode, on the CPU: `lr` -> {`sr`: ...}.
        example: An input.

    Returns:
        The content of a file in float32, with tensors named by their numbers.

    Raises:
        SrError: `export-failed` if the converter does not support the network.
    """
    with torch.no_grad():
        net(example)  # As in `export_graph`.
    try:
        with quiet(), _silent_libraries():
            import litert_torch

            converted = litert_torch.convert(net, sample_kwargs={INPUT: example})
            model = _unpack(converted.model_content())
    except Exception as error:
        # The converter raises errors of many types, with a report of many lines.
        raise SrError("export-failed", reason=innermost_line(error)) from error
    # The converter's names hold the paths of modules, and can be as long as a page.
    for number, tensor in enumerate(model.subgraphs[0].tensors):
        tensor.name = f"t{number}"
    return _pack(model)


def quantise_net(content: bytes, inputs: Sequence[NDArray[Any]]) -> bytes:
    """Compute all but the first and the last convolution in int8, and sums between them.

    Args:
        content: Of a file in float32 from `convert_net`.
        inputs: Arrays as the file takes them, from which ranges are learnt.

    Raises:
        SrError: `export-failed` if there is nothing to quantise.
    """
    from ai_edge_quantizer.algorithm_manager import AlgorithmName
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.quantizer import Quantizer

    layers, sums = _inner_operators(_unpack(content))
    if not layers:
        raise SrError("export-failed", reason="no layers between the first and the last")
    with quiet(), _silent_libraries():
        quantizer = Quantizer(bytearray(content))
        for kind, names in ((TFLOperationName.CONV_2D, layers), (TFLOperationName.ADD, sums)):
            if names:
                quantizer.add_static_config(
                    "|".join(f"^{re.escape(name)};" for name in names),
                    kind,
                    activation_num_bits=8,
                    weight_num_bits=8,
                    algorithm_key=AlgorithmName.MIN_MAX_UNIFORM_QUANT,
                )
        ranges = quantizer.calibrate({_SIGNATURE: [{INPUT: values} for values in inputs]})
        result = quantizer.quantize(ranges, enable_progress_report=False)
    return bytes(result.quantized_model)


def _inner_operators(model: Any) -> tuple[list[str], list[str]]:
    """The results of convolutions without the first and the last, and of sums between those."""
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    graph = model.subgraphs[0]
    kinds = [code.builtinCode for code in model.operatorCodes]
    constant = {n for n, t in enumerate(graph.tensors) if model.buffers[t.buffer].data is not None}
    convolutions, sums = [], []
    for place, operator in enumerate(graph.operators):
        kind, (result, *_) = kinds[operator.opcodeIndex], operator.outputs
        # Gates see one value per channel.
        if kind == BuiltinOperator.CONV_2D and list(graph.tensors[result].shape[1:3]) != [1, 1]:
            convolutions.append((place, graph.tensors[result].name.decode()))
        elif kind == BuiltinOperator.ADD and not constant.intersection(operator.inputs):
            sums.append((place, graph.tensors[result].name.decode()))
    inner = convolutions[1:-1]
    if not inner:
        return [], []
    ends = (inner[0][0], convolutions[-1][0])
    return [n for _, n in inner], [n for place, n in sums if ends[0] < place < ends[1]]


def with_metadata(content: bytes, metadata: GraphMetadata) -> bytes:
    """The content of a file with its metadata, in the place of earlier ones."""
    from ai_edge_litert.schema_py_generated import BufferT, MetadataT

    described = np.frombuffer(json.dumps(msgspec.to_builtins(metadata)).encode(), np.uint8)
    model = _unpack(content)
    for earlier in model.metadata or []:
        if earlier.name == METADATA.encode():
            model.buffers[earlier.buffer].data = described
            return _pack(model)
    stated, buffer = MetadataT(), BufferT()
    stated.name, stated.buffer = METADATA, len(model.buffers)
    buffer.data = described
    model.metadata = [*(model.metadata or []), stated]
    model.buffers.append(buffer)
    model.description = f"sr {metadata.version}"
    return _pack(model)


class TileGraph(Graph):
    """A LiteRT file in its interpreter, for images of any size, which it is shown tile by tile.

    Args:
        content: Of the file.
        metadata: With the tile, the halo, the scale and the layout of the file.
    """

    bytes_per_pixel = 0

    def __init__(self, content: bytes, metadata: GraphMetadata) -> None:
        from ai_edge_litert.interpreter import Interpreter

        assert metadata.tile is not None
        self.signature = Signature(INPUT, "float32", metadata.layout, metadata.channels, 0, {})
        self._tile, self._halo, self._scale = metadata.tile, metadata.halo, metadata.scale
        self._rows = metadata.layout.index("h")
        with _silent_libraries():
            interpreter = Interpreter(
                model_content=content, num_threads=max(1, torch.get_num_threads())
            )
            interpreter.allocate_tensors()
        self._run = interpreter.get_signature_runner(_SIGNATURE)

    def run_all(self, lr: NDArray[Any], device: str = "cpu") -> list[NDArray[Any]]:
        """As `Graph.run_all`; images smaller than a tile are continued to one."""
        results = [self._run_tiles(image[None]) for image in lr]
        return [np.concatenate(results)]

    def _run_tiles(self, lr: NDArray[Any]) -> NDArray[Any]:
        axes = (self._rows, self._rows + 1)
        height, width = (lr.shape[axis] for axis in axes)
        missing = [(0, 0)] * 4
        for axis in axes:
            length = lr.shape[axis]
            if length < self._tile:
                # The graph continues its tile, not the image: that must be out of sight.
                missing[axis] = (0, max(self._tile - length, self._halo))
        lr = np.pad(lr, missing, mode="symmetric")
        shape = [n * self._scale if axis in axes else n for axis, n in enumerate(lr.shape)]
        sr = np.empty(shape, np.float32)
        for top, rows in self._spans(lr.shape[axes[0]]):
            for left, columns in self._spans(lr.shape[axes[1]]):
                places = (slice(top, top + self._tile), slice(left, left + self._tile))
                tile = self._run(**{INPUT: np.ascontiguousarray(lr[self._at(places)])})[OUTPUT]
                core = [self._scaled(s, o) for s, o in ((rows, top), (columns, left))]
                target = [self._scaled(s, 0) for s in (rows, columns)]
                sr[self._at(target)] = tile[self._at(core)]
        return sr[self._at((slice(height * self._scale), slice(width * self._scale)))]

    def _spans(self, length: int) -> Iterator[tuple[int, slice]]:
        """Where tiles begin, and their cores. Tiles end where the image does, with no halo."""
        first = 0
        while first < length:
            start = min(max(0, first - self._halo), length - self._tile)
            stop = start + self._tile
            last = length if stop == length else stop - self._halo
            yield start, slice(first, last)
            first = last

    def _scaled(self, span: slice, origin: int) -> slice:
        return slice((span.start - origin) * self._scale, (span.stop - origin) * self._scale)

    def _at(self, places: Sequence[slice]) -> tuple[slice, ...]:
        whole = (slice(None),)
        return whole * self._rows + tuple(places) + whole * (2 - self._rows)


def _unpack(content: bytes) -> Any:
    from ai_edge_litert.schema_py_generated import ModelT

    model = ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        # The quantiser puts weights behind the FlatBuffer, with offsets from its beginning.
        if buffer.offset > 1:
            stored = content[buffer.offset : buffer.offset + buffer.size]
            buffer.data, buffer.offset, buffer.size = np.frombuffer(stored, np.uint8), 0, 0
    return model


def _pack(model: Any) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), _IDENTIFIER)
    return bytes(builder.Output())


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Without what libraries in C++ write to stderr."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
