"""ONNX files from anywhere, checked before a runtime sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, Literal

from sr_cli.errors import RefusedError, SrError

LARGEST = 1 << 30
"""Bytes of a graph with its weights; protocol buffers end at 2 GiB."""

_DOMAINS = {"", "ai.onnx", "com.microsoft"}
"""Operators of the specification, and ONNX Runtime's own; others need a library of their own."""

_TYPES = {1: "float32", 10: "float16", 2: "uint8"}
"""Element types of images, by their numbers in onnx.proto (TensorProto.DataType)."""

_EXTERNAL = 1
"""TensorProto.DataLocation of tensors in another file."""


@dataclass(frozen=True)
class Signature:
    """What a graph takes and gives.

    Attributes:
        input: The name of the input.
        dtype: `float32`, `float16` or `uint8`.
        layout: `nchw` or `nhwc`.
        channels: As stated; None for any.
        parameters: The number of weights.
        properties: The metadata of the file.
    """

    input: str
    dtype: str
    layout: Literal["nchw", "nhwc"]
    channels: int | None
    parameters: int
    properties: dict[str, str]


def read_signature(path: Path) -> Signature:
    """Check an untrusted ONNX file, without running anything in it.

    Args:
        path: The file.

    Raises:
        RefusedError: `extra-missing`.
        SrError: `unreadable-graph` for damaged or too large files and external data outside the
            file's folder; `unsupported-graph` for graphs with control flow, custom operators,
            several inputs or outputs, or one that is not an image of any size.
    """
    if not (find_spec("onnx") and find_spec("onnxruntime")):
        raise RefusedError("extra-missing", path, extra="onnx")
    import onnx
    from google.protobuf.message import DecodeError

    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise SrError("unreadable-graph", path, reason=f"larger than {LARGEST >> 20} MiB")
        model = onnx.load(path, load_external_data=False)
    except FileNotFoundError:
        raise SrError("file-not-found", path) from None
    except (OSError, DecodeError, ValueError, RecursionError) as error:
        raise SrError("unreadable-graph", path, reason="damaged, or not ONNX") from error
    if not model.graph.node or not model.opset_import:
        raise SrError("unreadable-graph", path, reason="damaged, or not ONNX")
    _check_operators(path, model)
    _check_external_data(path, model, size)
    return _signature(path, model)


def _check_operators(path: Path, model: Any) -> None:
    own = {(f.domain, f.name) for f in model.functions}
    for node in (*model.graph.node, *(n for f in model.functions for n in f.node)):
        if any(a.HasField("g") or a.graphs for a in node.attribute):
            raise SrError("unsupported-graph", path, reason=f"control flow ({node.op_type})")
        if node.domain not in _DOMAINS and (node.domain, node.op_type) not in own:
            name = f"{node.domain}.{node.op_type}"
            raise SrError("unsupported-graph", path, reason=f"custom operator {name}")


def _check_external_data(path: Path, model: Any, size: int) -> None:
    """Weights in other files must be regular ones in the folder of the graph."""
    folder = path.resolve().parent
    for file in {f for tensor in _tensors(model) for f in _external_files(tensor)}:
        found = (folder / file).resolve()
        if not file or not found.is_relative_to(folder):
            raise SrError("unreadable-graph", path, reason=f"data outside its folder ({file})")
        if not found.is_file():
            raise SrError("unreadable-graph", path, reason=f"its data file {file} is missing")
        size += found.stat().st_size
    if size > LARGEST:
        raise SrError("unreadable-graph", path, reason=f"larger than {LARGEST >> 20} MiB")


def _tensors(model: Any) -> Iterator[Any]:
    yield from model.graph.initializer
    for sparse in model.graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in (*model.graph.node, *(n for f in model.functions for n in f.node)):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _external_files(tensor: Any) -> list[str]:
    if tensor.data_location != _EXTERNAL:
        return []
    return [entry.value for entry in tensor.external_data if entry.key == "location"] or [""]


def _signature(path: Path, model: Any) -> Signature:
    """The one input and the one output, if they are images of any size."""
    graph = model.graph
    weights = {t.name for t in graph.initializer}
    inputs = [i for i in graph.input if i.name not in weights]
    if len(inputs) != 1 or len(graph.output) != 1:
        counts = _counted(len(inputs), "input"), _counted(len(graph.output), "output")
        raise SrError("unsupported-graph", path, reason=" and ".join(counts))
    shapes = [_sides(value) for value in (inputs[0], graph.output[0])]
    for shape in shapes:
        if shape is not None and len(shape) != 4:
            raise SrError("unsupported-graph", path, reason=f"{len(shape)} dimensions, not 4")
    sides = shapes[0] or [None] * 4
    images = {1, 3, None}
    is_last = sides[1] not in images or (sides[1] is None and sides[3] in {1, 3})
    channels, fixed = (sides[3], sides[1:3]) if is_last else (sides[1], sides[2:])
    if channels not in images:
        raise SrError("unsupported-graph", path, reason=f"{channels} channels")
    if any(fixed) or sides[0] not in (1, None):
        raise SrError("unsupported-graph", path, reason=f"only inputs of {_shown(sides)}")
    dtype = _TYPES.get(inputs[0].type.tensor_type.elem_type)
    if dtype is None:
        raise SrError("unsupported-graph", path, reason="its input is not float or uint8")
    return Signature(
        inputs[0].name,
        dtype,
        "nhwc" if is_last else "nchw",
        channels,
        sum(prod(t.dims) for t in graph.initializer if len(t.dims) > 0),
        {p.key: p.value for p in model.metadata_props},
    )


def _counted(number: int, thing: str) -> str:
    return f"{number or 'no'} {thing}{'s' * (number != 1)}"


def _sides(value: Any) -> list[int | None] | None:
    """The dimensions of an input or output, None for dynamic ones, or None for any number."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim]


def _shown(sides: list[int | None]) -> str:
    return "x".join("?" if side is None else str(side) for side in sides)
