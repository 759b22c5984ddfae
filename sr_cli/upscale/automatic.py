"""`-m auto`: the model for each image from its own statistics."""

from __future__ import annotations

from sr_cli.errors import Note, SrError
from sr_cli.imaging.conversion import opaque_8_bit
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.page import is_page
from sr_cli.registry.ref import ModelRef, parse_model
from sr_cli.upscale.inputs import STDIO
from sr_cli.upscale.outputs import Job

TEXT = "text"
"""The model for pages of text; all other images get the general one."""


def choose_model(job: Job, max_pixels: int) -> tuple[ModelRef, Note]:
    """The model for an image, and what is said about it.

    What cannot be seen before it is read (stdin, clips, archives) and what cannot be read gets the
    general model.

    Args:
        job: The image.
        max_pixels: Larger images are not decoded.
    """
    if _shows_text(job, max_pixels):
        ref = parse_model(TEXT)
        return ref, Note("text-model-chosen", {"model": ref.name})
    ref = parse_model(None)
    return ref, Note("general-model-chosen", {"model": ref.name})


def _shows_text(job: Job, max_pixels: int) -> bool:
    if job.source == STDIO or job.is_archive or job.is_clip:
        return False
    try:
        picture = read_picture(job.source, max_pixels=max_pixels)
        return is_page(opaque_8_bit(picture.frames[0]))
    except SrError:
        # Its turn comes, and the error is told then.
        return False
