"""`sr export`: a model as a file for another runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr_cli.cli.console import print_json, say, shown
from sr_cli.cli.options import takes
from sr_cli.errors import RefusedError

if TYPE_CHECKING:
    from sr_cli.export.export import ExportResult
    from sr_cli.export.request import ExportRequest


@dataclass(frozen=True)
class Options:
    """The command line of `sr export`."""

    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Network, id, checkpoint file or address.")
    ]
    scale: Annotated[
        str | None,
        typer.Option("-x", "-s", "--scale", help="Scale. Default: 4, or the model's largest."),
    ] = None
    format: Annotated[
        str | None,
        typer.Option("-f", "--format", help="onnx, pt2 or litert. Default: by -o, or onnx."),
    ] = None
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Output file. Default: MODEL-xN.onnx.")
    ] = None
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32"
    uint8: Annotated[
        bool,
        typer.Option("--uint8", help="8-bit RGB pixels (N, h, w, 3) go in and come out."),
    ] = False
    opset: Annotated[int, typer.Option(help="Version of ONNX's operators, 17 to 24.")] = 18
    tile: Annotated[
        int | None,
        typer.Option(help="Sides of what a LiteRT file takes, in lr pixels. Default: 128."),
    ] = None
    layout: Annotated[str | None, typer.Option(help="nhwc or nchw, for LiteRT. Default: nhwc.")] = (
        None
    )
    calibrate: Annotated[
        Path | None,
        typer.Option(help="Folder of images for int8. Default: a small built-in image."),
    ] = None
    strength: Annotated[
        float | None,
        typer.Option(
            "--strength", help="How far photo restores, 0 to 1, as in sr upscale. Default: 1."
        ),
    ] = None
    force: Annotated[
        bool, typer.Option("--force", help="Write an int8 file whatever it costs.")
    ] = False
    overwrite: Annotated[
        bool, typer.Option("-y", "--overwrite", help="Overwrite an existing file.")
    ] = False
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only errors.")] = False


@takes(Options)
def export(options: Options) -> None:
    """Export a model for other runtimes: ONNX, torch.export or LiteRT.

    The file takes images of any size, lr (N, C, h, w) with values in [0, 1],
    and gives what sr upscale gives, to the last pixel. It is compared with
    PyTorch in its own runtime before it is written. ONNX requires the extra
    onnx. A LiteRT file takes tiles of one size, (1, tile, tile, C); it
    requires the extra litert, best in an environment of its own.

    Exit codes: 0 written; 1 the model cannot be exported; 2 refused;
    130 interrupted; 143 terminated.
    """
    request = _request(options)

    from sr_cli.export.export import export_model

    result = export_model(request)
    if options.json:
        print_json(_record(result), indent=2)
    elif not options.quiet:
        say(_line(result))


def _request(o: Options) -> ExportRequest:
    """The request that the options describe, checked before anything heavy is imported."""
    from sr_cli.cli.upscale_options import parse_scale
    from sr_cli.export.request import ExportRequest

    factor = None if o.scale is None else parse_scale(o.scale)
    if factor is not None and factor != int(factor):
        raise RefusedError("wrong-type", "scale", value=f"{factor:g}", wanted="a whole number")
    request = ExportRequest(
        o.model,
        o.output,
        None if factor is None else int(factor),
        o.format,
        o.precision,
        o.uint8,
        o.opset,
        o.tile,
        o.layout,
        o.calibrate,
        o.force,
        o.overwrite,
        o.strength,
    )
    request.check()
    return request


def _record(result: ExportResult) -> dict[str, object]:
    import msgspec

    return {
        "output": str(result.path),
        "bytes": result.bytes,
        "export_format": result.format,
        **msgspec.to_builtins(result.metadata),
    }


def _line(result: ExportResult) -> str:
    found = result.metadata
    cost = "" if found.psnr_cost is None else f", {found.psnr_cost:.3f} dB PSNR-Y lost"
    return (
        f"{shown(result.path)}: {found.model} x{found.scale}, {found.precision}, "
        f"{result.bytes / 1e6:.1f} MB, differs from PyTorch by {found.largest_difference:.1e}{cost}"
    )
