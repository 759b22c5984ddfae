"""Export: files for other runtimes, and ONNX files as models."""

from __future__ import annotations

from sr_cli.cli.messages.template import Message

MESSAGES: dict[str, Message] = {
    "not-exportable": Message(
        "{subject} cannot be exported",
        hints={
            "bicubic": "bicubic has no weights; every runtime has a resize of its own",
            "onnx": "it is an ONNX file already; the checkpoint that it was made from can be",
        },
    ),
    "format-deprecated": Message(
        "{subject} is deprecated in PyTorch, and does not support these networks",
        "-f pt2 is its successor; -f onnx for C++ and other languages",
    ),
    # facts: reason
    "export-failed": Message("{subject} cannot be exported ({reason})"),
    # facts: difference, allowed
    "export-differs": Message(
        "{subject}: the exported file differs from PyTorch by {difference:.1e} "
        "(allowed: {allowed:.1e}); nothing was written"
    ),
    # facts: cost (dB), allowed, difference (levels)
    "quantisation-cost": Message(
        "{subject} loses {cost:.2f} dB of PSNR-Y in int8 (allowed: {allowed:g}; largest error: "
        "{levels} levels); nothing was written",
        "--force writes it all the same; --precision fp16 loses less",
    ),
    # facts: reason
    "unreadable-graph": Message("{subject}: not a usable ONNX file ({reason})"),
    # facts: device
    "provider-missing": Message(
        "{subject}: the ONNX Runtime that is installed does not support {device}",
        "install onnxruntime-gpu in its place, or use --device cpu",
    ),
    # facts: reason
    "unsupported-by-openvino": Message(
        "{subject} cannot run in OpenVINO ({reason})",
        "leave out --device openvino",
        {"not-onnx": "leave out --device openvino, or export the model: sr export"},
    ),
    # facts: reason
    "unsupported-graph": Message(
        "{subject}: not supported as an upscaler ({reason})",
        "one input and one output, images of any size with 1 or 3 channels",
    ),
}

NOTES: dict[str, str] = {}
