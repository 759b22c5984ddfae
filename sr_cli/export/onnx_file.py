"""A network as an ONNX graph: written by PyTorch's exporter, with dynamic sizes, in one file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from sr_cli.errors import SrError
from sr_cli.registry.graph_metadata import GraphMetadata

INPUT, OUTPUT = "lr", "sr"
"""The names of the graph's input and output."""

LARGEST = 1 << 30
"""Bytes of a graph; the format itself ends at 2 GiB."""


def sizes_of(layout: str) -> dict[int, Any]:
    """The dynamic axes of the input, `nchw` or `nhwc`, for PyTorch's exporters."""
    height = layout.index("h")
    return {
        0: Dim("batch", min=1),
        height: Dim("height", min=1),
        height + 1: Dim("width", min=1),
    }


def export_graph(net: nn.Module, example: Tensor, *, layout: str, opset: int) -> Any:
    """Export a network as an ONNX model.

    Args:
        net: In evaluation mode, on the CPU.
        example: An input; its batch and sides must be above 1 and differ from each other.
        layout: `nchw` or `nhwc`.
        opset: The version of ONNX's operators.

    Returns:
        An `onnx.ModelProto` with the input `lr` and the output `sr`.

    Raises:
        SrError: `export-failed` if the exporter does not support the network.
    """
    with torch.no_grad():
        net(example)  # What is computed once and kept must not be computed from symbols.
    try:
        with quiet():
            program = torch.onnx.export(
                net,
                (example,),
                dynamo=True,
                opset_version=opset,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=(sizes_of(layout),),
                verbose=False,
            )
        assert program is not None
        model = program.model_proto
        size = model.ByteSize()
    except Exception as error:
        # The exporter raises errors of many types, with a report of many lines.
        raise SrError("export-failed", reason=innermost_line(error)) from error
    if size > LARGEST:
        raise SrError("export-failed", reason=f"{size >> 20} MiB in one file")
    found = {o.version for o in model.opset_import if o.domain == ""}
    if found != {opset}:
        raise SrError("export-failed", reason=f"opset {found} was written")
    return model


def with_metadata(model: Any, metadata: GraphMetadata) -> bytes:
    """The content of a file: the model with its metadata, without the exporter's remarks."""
    import onnx

    _drop_remarks(model.graph)
    del model.metadata_props[:]
    model.producer_name, model.producer_version = "sr", metadata.version
    # The exporter states a newer format of the file than its operators need: one that ONNX Runtime
    # refuses before 1.18.
    model.ir_version = onnx.helper.find_min_ir_version_for(model.opset_import)
    onnx.helper.set_model_props(model, metadata.as_properties())
    onnx.checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content


def _drop_remarks(graph: Any) -> None:
    """The exporter notes the lines of the source, with the paths of this machine, on each node."""
    for node in graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for part in (*graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
    del graph.metadata_props[:]


def layers_of(model: Any) -> list[str]:
    """The convolutions of the network, in order; those of bicubic have constants, not weights."""
    return [
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and "lifted_tensor" not in node.input[1]
    ]


def gates_of(model: Any) -> set[str]:
    """The layers of gates, which see one value per channel: nothing to gain, much to lose."""
    points = {
        value.name
        for value in model.graph.value_info
        if [d.dim_value for d in value.type.tensor_type.shape.dim[2:]] == [1, 1]
    }
    return {node.name for node in model.graph.node if points.intersection(node.output)}


def innermost_line(error: BaseException) -> str:
    """The first line of the error that the others were raised from."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0][:160]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the progress, warnings and log lines of other libraries."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
