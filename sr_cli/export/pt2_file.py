"""A network as a .pt2 file of torch.export: for Python, and for compilers that build on it."""

from __future__ import annotations

import io
import json
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from sr_cli.errors import SrError
from sr_cli.export.onnx_file import innermost_line, quiet, sizes_of
from sr_cli.registry.graph_metadata import GraphMetadata

EXTRA_FILE = "sr.json"
"""The metadata inside the archive, as one JSON object."""


def export_program(net: nn.Module, example: Tensor) -> Any:
    """Export a network with dynamic batch, height and width.

    Raises:
        SrError: `export-failed` if torch.export does not support the network.
    """
    with torch.no_grad():
        net(example)  # As in `export_graph`.
    try:
        with quiet():
            return torch.export.export(net, (example,), dynamic_shapes=(sizes_of("nchw"),))
    except Exception as error:
        # torch.export raises errors of many types, with a report of many lines.
        raise SrError("export-failed", reason=innermost_line(error)) from error


def write_program(program: Any, metadata: GraphMetadata) -> bytes:
    """The content of a file with the program and its metadata."""
    content = io.BytesIO()
    described = json.dumps(msgspec.to_builtins(metadata))
    with quiet():
        torch.export.save(program, content, extra_files={EXTRA_FILE: described})
    return content.getvalue()


def open_program(content: bytes) -> nn.Module:
    """The network of a file that this process wrote."""
    with quiet():
        return torch.export.load(io.BytesIO(content)).module()
