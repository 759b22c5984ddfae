"""ONNX files from anywhere: checked before a runtime sees them, then run in ONNX Runtime."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sr_cli.errors import RefusedError, SrError

LARGEST = 1 << 30
"""Bytes of a graph with its weights; protocol buffers end at 2 GiB."""

_DOMAINS = {"", "ai.onnx", "com.microsoft"}
"""Operators of the specification, and ONNX Runtime's own; others need a library of their own."""

_TYPES = {1: "float32", 10: "float16", 2: "uint8"}
"""Element types of images, by their numbers in onnx.proto (TensorProto.DataType)."""

_EXTERNAL = 1
"""TensorProto.DataLocation of tensors in another file."""

_CUDA = "CUDAExecutionProvider"

_PROBE = 48

_WHERE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed:|/\S+:\d+ .*?\) "
)
"""What ONNX Runtime puts before a reason: its codes, the file, and its own source and function."""


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
        counts = f"{len(inputs)} inputs and {len(graph.output)} outputs"
        raise SrError("unsupported-graph", path, reason=counts)
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


def _sides(value: Any) -> list[int | None] | None:
    """The dimensions of an input or output, None for dynamic ones, or None for any number."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return [d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim]


def _shown(sides: list[int | None]) -> str:
    return "x".join("?" if side is None else str(side) for side in sides)


class Graph:
    """A checked ONNX file in ONNX Runtime; copies share its sessions.

    Args:
        content: The path of the file, or its content.
        signature: What it takes and gives.

    Raises:
        SrError: `unreadable-graph` if ONNX Runtime refuses it; when run, `provider-missing` if it
            does not support the device.
    """

    def __init__(self, content: Path | bytes, signature: Signature) -> None:
        self.signature = signature
        self._content = content
        self._sessions: dict[str, Any] = {}
        self._session("cpu")

    def __deepcopy__(self, _: dict[int, Any]) -> Graph:
        return self

    def run(self, lr: NDArray[Any], device: str = "cpu") -> NDArray[Any]:
        """Run the graph on an array as it takes it."""
        return self.run_all(lr, device)[0]

    def run_all(self, lr: NDArray[Any], device: str = "cpu") -> list[NDArray[Any]]:
        """As `run`, with every output of the graph."""
        results: list[NDArray[Any]] = self._session(device).run(None, {self.signature.input: lr})
        return results

    def run_image(self, lr: torch.Tensor) -> torch.Tensor:
        """Run the graph on images (N, C, h, w) in [0, 1], in whatever type and layout it takes."""
        values = lr.detach().float().cpu().numpy()
        if self.signature.dtype == "uint8":
            values = np.floor(values.clip(0, 1) * 255 + 0.5)
        if self.signature.layout == "nhwc":
            values = values.transpose(0, 2, 3, 1)
        values = np.ascontiguousarray(values, dtype=self.signature.dtype)
        result = self.run(values, str(lr.device))
        sr = torch.from_numpy(np.ascontiguousarray(result.astype(np.float32)))
        if result.dtype == np.uint8:
            sr = sr / 255
        if self.signature.layout == "nhwc" and sr.ndim == 4:
            sr = sr.permute(0, 3, 1, 2)
        return sr.to(lr.device)

    @cached_property
    def bytes_per_pixel(self) -> int:
        """The result and inputs of its busiest operation, in bytes per lr pixel."""
        channels = self.signature.channels or 3
        sides = (_PROBE, _PROBE)
        nhwc = self.signature.layout == "nhwc"
        shape = (1, *sides, channels) if nhwc else (1, channels, *sides)
        with tempfile.TemporaryDirectory() as folder:
            session = _open(self._content, "cpu", profile=str(Path(folder) / "sr"))
            session.run(None, {self.signature.input: np.zeros(shape, self.signature.dtype)})
            events = json.loads(Path(session.end_profiling()).read_text())
        sizes = [int(e["args"].get("output_size", 0)) for e in events if "args" in e]
        return 2 * max(sizes, default=0) // _PROBE**2

    def _session(self, device: str) -> Any:
        if device not in self._sessions:
            self._sessions[device] = _open(self._content, device)
        return self._sessions[device]


def _open(content: Path | bytes, device: str, profile: str | None = None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    if profile is not None:
        options.enable_profiling, options.profile_file_prefix = True, profile
    kind, _, index = device.partition(":")
    providers: list[Any] = ["CPUExecutionProvider"]
    subject = content if isinstance(content, Path) else ""
    missing = SrError("provider-missing", subject, device=device)
    if kind == "cuda":
        if _CUDA not in onnxruntime.get_available_providers():
            raise missing
        providers.insert(0, (_CUDA, {"device_id": int(index or 0)}))
    given = content if isinstance(content, bytes) else str(content)
    try:
        session = onnxruntime.InferenceSession(given, options, providers=providers)
    except Exception as error:
        # ONNX Runtime raises a type of its own for each kind of failure.
        said = _WHERE.sub("", (str(error) or type(error).__name__).splitlines()[0])[:200]
        raise SrError("unreadable-graph", subject, reason=said) from error
    # ONNX Runtime falls back to the CPU where CUDA's libraries are missing.
    if kind == "cuda" and _CUDA not in session.get_providers():
        raise missing
    return session
