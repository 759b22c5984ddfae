"""Which models are ours, and which are known to invent nothing."""

from __future__ import annotations

from sr_cli.registry.ref import AddressRef, BicubicRef, FamilyRef, FileRef, ModelRef, OnnxRef

FAITHFUL = "edsr"
"""The model for measured images when none is named: the general one paints over noise."""


def is_own(ref: ModelRef) -> bool:
    """Whether all weights are of sr: shipped with it, or in a checkpoint of `sr train`.

    Raises:
        SrError: What reading a file raises; `not-downloaded`.
    """
    from sr_cli.registry.checkpoint import is_sr_checkpoint

    for step in ref.steps:
        file = step.file() if isinstance(step, AddressRef) else step
        if isinstance(file, OnnxRef):
            return False
        if isinstance(file, FileRef) and not is_sr_checkpoint(file.path):
            return False
        if isinstance(file, FamilyRef) and any(e.url for e in file.entries):
            return False
    return True


def is_faithful(ref: ModelRef, *, unknown: bool = False) -> bool:
    """Whether a model is known to invent nothing: trained for the least error on clean images.

    These are bicubic and the shipped default variants, except for SRGAN. Of files and of public
    weights it is not known.

    Args:
        ref: The model.
        unknown: What to assume of files.
    """
    return all(
        isinstance(step, BicubicRef)
        or (unknown and isinstance(step, FileRef | AddressRef))
        or (
            isinstance(step, FamilyRef)
            and all(e.default and not e.url and e.network != "srgan" for e in step.entries)
        )
        for step in ref.steps
    )
