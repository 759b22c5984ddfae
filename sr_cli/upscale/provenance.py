"""What a result says of how it was made: in its file, and in its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from sr_cli.engine.frames import only_shrinks
from sr_cli.engine.pipeline import Pipeline, network_scale
from sr_cli.engine.size import Size
from sr_cli.errors import Note
from sr_cli.imaging.formats import Encoding, Format, is_lossy
from sr_cli.imaging.picture import Frame, Picture
from sr_cli.imaging.provenance import Combined, Provenance, UsedModel
from sr_cli.registry.ref import BicubicRef
from sr_cli.registry.strength import strength_of
from sr_cli.upscale.request import Result

if TYPE_CHECKING:
    from sr_cli.upscale.groups import Group


def used_models(group: Group) -> tuple[UsedModel, ...]:
    """The models of a group, in order, with the sha256 of their files."""
    scale = network_scale(group.refs, group.factor)
    return tuple(used for ref in group.refs for used in ref.used(scale))


def provenance_of(
    frames: Sequence[Frame],
    group: Group,
    pipeline: Pipeline,
    used: tuple[UsedModel, ...],
    *,
    adapted: int = 0,
) -> Provenance:
    """What makes the result of an image: the models, or bicubic where nothing grows.

    Args:
        frames: Of the image.
        group: Of the image.
        pipeline: Of the group.
        used: From `used_models`.
        adapted: Steps in which the weights were tuned to the image.
    """
    first, size = frames[0], group.size
    if all(only_shrinks(f, pipeline, size) for f in frames):
        used = BicubicRef().used(None)
    factor = round(size.factor_for(first.width, first.height), 6)
    strength = strength_of(group.refs)
    if len(used) == 1:
        return Provenance(factor, used, adapted=adapted, strength=strength)
    combined: Combined = "average" if len(group.refs) > 1 else "chain"
    return Provenance(factor, used, combined, strength=strength)


def with_sizes(result: Result, picture: Picture, size: Size) -> Result:
    """A result with the sizes of the first frame before and after."""
    width, height = size.of(picture.width, picture.height)
    return replace(
        result,
        width=picture.width,
        height=picture.height,
        output_width=width,
        output_height=height,
    )


def with_deviation(result: Result, made: Picture, target: Format, encoding: Encoding) -> Result:
    """A result with its deviation; `made` gets a note if the file has, or may have, another one.

    Args:
        result: To be completed.
        made: The upscaled picture.
        target: The format that is written.
        encoding: How it is written.
    """
    if made.deviation is None:
        made.notes.append(Note("not-verified"))
    elif is_lossy(target, encoding):
        made.notes.append(Note("verified-before-compression", {"format": target.name}))
    return replace(result, deviation=made.deviation)


def with_device(result: Result, pipeline: Pipeline, pixels: NDArray[Any]) -> Result:
    """A result with how it is computed.

    Args:
        result: To be completed.
        pipeline: That computes it.
        pixels: Of the type that is computed.
    """
    if not pipeline.upscalers:
        return result
    from sr_cli.engine.device import DTYPE_NAMES

    first = pipeline.upscalers[0]
    precision = DTYPE_NAMES[first.dtype_for(pixels)]
    return replace(result, device=first.device_name, precision=precision, tile=first.tile)
