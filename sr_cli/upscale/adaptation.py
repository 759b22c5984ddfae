"""`--adapt`: networks that are tuned to each image before it is upscaled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sr_cli.engine.frames import colour_of, only_shrinks
from sr_cli.engine.pipeline import OnShare, Pipeline
from sr_cli.errors import Note, RefusedError, SrError
from sr_cli.imaging.picture import Picture
from sr_cli.registry.faithful import is_faithful, is_own
from sr_cli.registry.ref import BicubicRef, ModelRef

if TYPE_CHECKING:
    from sr_cli.upscale.groups import Group

SHARE = 0.9
"""Of the work for an image, as progress shows it."""


def check_adaptable(refs: Sequence[ModelRef]) -> None:
    """Check that a model can be tuned to images.

    Raises:
        RefusedError: `conflicting-options` for several models; `not-adaptable` for bicubic, chains,
            files and weights of other tools, and models that are not trained for the least error:
            tuning would undo what they are for.
        SrError: What reading the file raises.
    """
    if len(refs) > 1:
        raise RefusedError("conflicting-options", "adapt", other="several models")
    (ref,) = refs
    if len(ref.steps) > 1:
        reason = "chain"
    elif isinstance(ref, BicubicRef):
        reason = "bicubic"
    elif not is_own(ref):
        reason = "foreign"
    elif not is_faithful(ref, unknown=True):
        reason = "perceptual"
    else:
        return
    raise RefusedError("not-adaptable", ref.name, reason=reason)


def adapt_to(
    picture: Picture, pipeline: Pipeline, group: Group, on_share: OnShare
) -> tuple[Pipeline, int]:
    """Tune the network of a pipeline to an image.

    Args:
        picture: Its notes get the outcome.
        pipeline: Of one network; it is not changed.
        group: Of the image.
        on_share: Called with the share of the tuning that is done, 0 to 1.

    Returns:
        A pipeline with the tuned network, and the steps. `pipeline` and 0 if it is not better, or
        if nothing becomes larger.

    Raises:
        SrError: `one-frame-to-adapt`, `too-small-to-adapt`.
    """
    budget = group.options.adapt
    first = picture.frames[0]
    # What is there already has no network; it is skipped or fails later.
    if budget is None or not pipeline.upscalers or only_shrinks(first, pipeline, group.size):
        return pipeline, 0
    if len(picture.frames) > 1:
        raise SrError("one-frame-to-adapt", frames=len(picture.frames))

    from sr_cli.engine.adapt import adapt_model, with_model

    (upscaler,) = pipeline.upscalers
    (model,) = upscaler.loaded
    colour = colour_of(first, measured=picture.has_any_range)
    found = adapt_model(model, colour, budget, upscaler.device, on_share)
    if found.model is None:
        picture.notes.append(Note("not-adapted", {"steps": found.steps}))
        return pipeline, 0
    picture.notes.append(Note("adapted", {"steps": found.steps, "gain": round(found.gain, 3)}))
    return with_model(pipeline, found.model), found.steps
