"""From the options of `sr upscale` to the request and the workers that they describe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sr_cli.cli.upscale_options import Options, parse_adaptation, parse_scale
from sr_cli.errors import RefusedError

if TYPE_CHECKING:
    from sr_cli.upscale.cluster.options import WorkerOptions
    from sr_cli.upscale.request import UpscaleRequest


def as_request(o: Options) -> UpscaleRequest:
    """The request that the options describe, checked before anything heavy is imported."""
    from sr_cli.engine.options import EngineOptions
    from sr_cli.registry.ref import parse_model
    from sr_cli.registry.strength import with_strength
    from sr_cli.upscale.request import AUTO, UpscaleOptions, UpscaleRequest
    from sr_cli.video.options import ClipOptions

    _check_inputs(o)
    factors = {parse_scale(text) for text in o.scale or []}
    if len(factors) > 1:
        first, second, *_ = sorted(factors)
        raise RefusedError("conflicting-options", f"scale {first:g}", other=f"scale {second:g}")
    request = UpscaleRequest(
        tuple(o.inputs or ()),
        o.output,
        tuple(o.model or ()),
        factors.pop() if factors else None,
        UpscaleOptions(
            width=o.width,
            height=o.height,
            max_side=o.max_side,
            recursive=o.recursive,
            suffix=o.suffix,
            format=o.format,
            quality=o.quality,
            lossless=o.lossless,
            strip=o.strip,
            overwrite=o.overwrite,
            skip_existing=o.skip_existing,
            flatten=o.flatten,
            compare=o.compare,
            verify=o.verify,
            strength=o.strength,
            adapt=None if o.adapt is None else parse_adaptation(o.adapt),
            download=o.download,
            max_pixels=o.max_pixels,
            allow_truncated=o.allow_truncated,
            clip=ClipOptions(
                codec=o.codec,
                crf=o.crf,
                colour=o.colour,
                deinterlace=o.deinterlace,
                allow_damaged=o.allow_damaged,
                resume=o.resume,
                preview=o.preview,
                fps=o.fps,
                steady=o.steady,
            ),
            engine=EngineOptions(
                o.device.split(",")[0],
                o.threads,
                o.precision,
                o.tile,
                o.tta,
                o.wrap,
                o.consistent,
            ),
        ),
    )
    request.check()
    for name in request.models or (None,):
        # Refuses unknown names before anything heavy is imported.
        with_strength(parse_model(None if name == AUTO else name), o.strength)
    return request


def _check_inputs(o: Options) -> None:
    """Check that the inputs are either arguments or names on stdin."""
    if not o.stdin_list:
        if not o.inputs:
            raise RefusedError("missing-option", "INPUT", example="sr upscale photo.jpg")
        return
    others = {
        "an input": o.inputs,
        "an output on stdout": o.output == "-",
        "workers": o.workers is not None,
        "cluster": o.cluster is not None,
        "several devices": "," in o.device,
        "dry-run": o.dry_run,
    }
    for other, is_given in others.items():
        if is_given:
            raise RefusedError("conflicting-options", "stdin-list", other=other)


def as_workers(o: Options) -> WorkerOptions | None:
    """The workers that the options describe; None for this process alone."""
    devices = tuple(o.device.split(",")) if "," in o.device else ()
    others = (o.split_pixels, o.tls_ca, o.tls_cert, o.tls_key, o.some, o.insecure)
    if o.workers is None and o.cluster is None and not devices:
        if any(value is not None and value is not False for value in others):
            raise RefusedError("missing-option", "--workers or --cluster", example="--workers 4")
        return None

    from sr_cli.engine.options import EngineOptions
    from sr_cli.upscale.cluster.options import WorkerOptions

    for device in devices:
        EngineOptions(device).check()
    return WorkerOptions(o.workers, devices, o.cluster, *others)
