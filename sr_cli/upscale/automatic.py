"""`-m auto`: the model for each image from its own statistics."""

from __future__ import annotations

from sr_cli.errors import Note, SrError
from sr_cli.imaging.conversion import opaque_8_bit
from sr_cli.imaging.page import is_page
from sr_cli.registry.ref import ModelRef, parse_model
from sr_cli.upscale.inputs import STDIO
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.preparation import read_input
from sr_cli.upscale.request import UpscaleOptions

TEXT = "text"
"""The model for pages of text; all other images get the general one."""


def choose_model(job: Job, options: UpscaleOptions, general: ModelRef) -> tuple[ModelRef, Note]:
    """The model for an image, and what is said about it.

    What cannot be seen before it is read (stdin, clips, archives) and what cannot be read gets the
    general model.

    Args:
        job: The image.
        options: How images are read.
        general: The general model.
    """
    if job.source == STDIO or job.is_archive or job.is_clip:
        return general, Note("general-model-unseen", {"model": general.name})
    if _shows_text(job, options):
        ref = parse_model(TEXT)
        return ref, Note("text-model-chosen", {"model": ref.name})
    return general, Note("general-model-chosen", {"model": general.name})


def _shows_text(job: Job, options: UpscaleOptions) -> bool:
    try:
        picture = read_input(job, options)
        return is_page(opaque_8_bit(picture.frames[0]))
    except SrError:
        # Its turn comes, and the error is told then.
        return False
