"""Runtimes for ONNX files: ONNX Runtime, and OpenVINO where it is asked for."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sr_cli.errors import SrError
from sr_cli.registry.onnx_graph import Signature

_CUDA = "CUDAExecutionProvider"

_PROBE = 48

_COUNTED = 32
"""The side of the smallest of three images on which multiply-adds are counted."""

_WHERE = re.compile(
    r"\[ONNXRuntimeError\] : \d+ : \w+ : |Load model from .*? failed:|/\S+:\d+ .*?\) "
)
"""What ONNX Runtime puts before a reason: its codes, the file, and its own source and function."""

_OPENVINO_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}


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
        self.content = content
        self._sessions: dict[tuple[str, int], Any] = {}
        self._session("cpu")

    def __deepcopy__(self, _: dict[int, Any]) -> Graph:
        return self

    def at(self, _: torch.dtype) -> Graph:
        """The graph in a precision: in ONNX Runtime always in that in which it was written."""
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
        sr = torch.from_numpy(np.ascontiguousarray(result, np.float32))
        if result.dtype == np.uint8:
            sr = sr / 255
        if self.signature.layout == "nhwc" and sr.ndim == 4:
            sr = sr.permute(0, 3, 1, 2)
        return sr.to(lr.device)

    @cached_property
    def bytes_per_pixel(self) -> int:
        """The result and inputs of its busiest operation, in bytes per lr pixel."""
        sizes = [int(step.get("output_size", 0)) for step in self._profile(_PROBE)]
        return 2 * max(sizes, default=0) // _PROBE**2

    @cached_property
    def multiply_adds(self) -> float:
        """Of convolutions and matrix products, for each lr pixel of a large image; 0 if unknown."""
        try:
            counts = [
                sum(_multiply_adds(step) for step in self._profile(side, as_written=True))
                for side in (_COUNTED, 2 * _COUNTED, 3 * _COUNTED)
            ]
        except Exception:
            # ONNX Runtime raises a type of its own for each kind of failure: a side may not fit.
            return 0.0
        # Without what is computed once, and along the edges.
        return (counts[2] - 2 * counts[1] + counts[0]) / (2 * _COUNTED**2)

    def _profile(self, side: int, *, as_written: bool = False) -> list[dict[str, Any]]:
        """What ONNX Runtime says about each operation of the graph on a square image."""
        channels = self.signature.channels or 3
        nhwc = self.signature.layout == "nhwc"
        shape = (1, side, side, channels) if nhwc else (1, channels, side, side)
        with tempfile.TemporaryDirectory() as folder:
            profile = str(Path(folder) / "sr")
            session = _open(self.content, "cpu", profile=profile, as_written=as_written)
            session.run(None, {self.signature.input: np.zeros(shape, self.signature.dtype)})
            events = json.loads(Path(session.end_profiling()).read_text())
        return [e["args"] for e in events if e["name"].endswith("_kernel_time")]

    def _session(self, device: str) -> Any:
        # Files are often read before the number of threads is set.
        key = device, torch.get_num_threads()
        session = self._sessions.get(key)
        if session is None:
            session = _open(self.content, device)
            self._sessions = {key: session}
        return session


class OpenvinoGraph(Graph):
    """A graph of `Graph` in OpenVINO, on the CPU.

    Args:
        graph: Which was checked, and runs in ONNX Runtime.
        dtype: The precision of what is not quantised. OpenVINO itself would choose bf16 where the
            CPU has instructions for it.

    Raises:
        SrError: `unsupported-by-openvino` if OpenVINO refuses it.
    """

    def __init__(self, graph: Graph, dtype: torch.dtype = torch.float32) -> None:
        self.signature = graph.signature
        self._graph, self._dtype = graph, dtype
        self._idle: list[Any] = []
        properties = {
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "INFERENCE_PRECISION_HINT": _OPENVINO_PRECISIONS[dtype],
            # Workers on one machine would all be pinned to the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        core, content = import_openvino().Core(), graph.content
        try:
            model = core.read_model(content if isinstance(content, bytes) else str(content))
            self._compiled = core.compile_model(model, "CPU", properties)
        except Exception as error:
            # OpenVINO raises RuntimeError and errors of pybind11.
            subject = content if isinstance(content, Path) else ""
            raise SrError("unsupported-by-openvino", subject, reason=_last_line(error)) from error

    def at(self, dtype: torch.dtype) -> Graph:
        """The graph in another precision."""
        return self if dtype == self._dtype else OpenvinoGraph(self._graph, dtype)

    def run_all(self, lr: NDArray[Any], device: str = "cpu") -> list[NDArray[Any]]:
        """As `Graph.run_all`."""
        # A request serves one thread at a time. Its memory is its own, so that a new one for every
        # tile would be given new pages each time.
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        try:
            return list(request.infer({0: lr}).values())
        except RuntimeError as error:
            raise RuntimeError(_last_line(error)) from error
        finally:
            self._idle.append(request)

    @property
    def bytes_per_pixel(self) -> int:
        """As of the graph in ONNX Runtime."""
        return self._graph.bytes_per_pixel

    @property
    def multiply_adds(self) -> float:
        """As of the graph in ONNX Runtime."""
        return self._graph.multiply_adds


def import_openvino() -> Any:
    """The package, which reports its import to its makers where openvino_telemetry can be had."""
    hidden = "openvino_telemetry" not in sys.modules
    if hidden:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        import openvino
    finally:
        if hidden:
            del sys.modules["openvino_telemetry"]
    return openvino


def _last_line(error: Exception) -> str:
    """The reason that OpenVINO gives, after the lines of its source."""
    lines = [line.strip(" -") for line in str(error).splitlines()]
    return next((line for line in reversed(lines) if line), type(error).__name__)[:200]


def _multiply_adds(step: dict[str, Any]) -> int:
    """The multiply-adds of an operation, from the shapes of its inputs and its result."""
    inputs: list[list[int]] = [s for t in step["input_type_shape"] for s in t.values()]
    results: list[list[int]] = [s for t in step["output_type_shape"] for s in t.values()]
    result = results[0] if results else []
    match step["op_name"]:
        case "Conv" | "ConvInteger":
            return prod(result) * prod(inputs[1][1:])
        case "QLinearConv":
            return prod(result) * prod(inputs[3][1:])
        case "ConvTranspose":
            return prod(inputs[0]) * prod(inputs[1][1:])
        case "Gemm" | "MatMul" | "MatMulInteger" | "QLinearMatMul":
            return prod(inputs[0]) * result[-1]
    return 0


def _open(
    content: Path | bytes, device: str, profile: str | None = None, *, as_written: bool = False
) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    if as_written:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        # Packed weights have no shapes.
        options.add_session_config_entry("session.disable_prepacking", "1")
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
