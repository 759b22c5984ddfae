"""The file of a result: encoded, compared where asked for, and given its name at the end."""

from __future__ import annotations

import io
import os
import sys
import time
from dataclasses import replace

from sr_cli.errors import Note
from sr_cli.imaging.encode import write_picture
from sr_cli.imaging.formats import Encoding, Format
from sr_cli.imaging.picture import Picture
from sr_cli.system.files import atomic_write
from sr_cli.upscale.existing import is_readable_result
from sr_cli.upscale.inputs import STDIO
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.remote import send
from sr_cli.upscale.request import Result, UpscaleOptions


def write_result(
    made: Picture,
    original: Picture | None,
    job: Job,
    target: Format,
    result: Result,
    began: float,
    options: UpscaleOptions,
) -> Result:
    """Encode an image, and give its file its name.

    Args:
        made: The image; consumed.
        original: What it was made of, for a comparison; None for no comparison.
        job: Of the image.
        target: The format.
        result: To be completed.
        began: When the image was begun, by `time.perf_counter`.
        options: Of the request.

    Raises:
        SrError: What `write_picture`, `atomic_write` and `send` raise.
        OSError: For stdout.
    """
    encoding = encoding_of(options)
    sheet = None
    if original is not None:
        from sr_cli.upscale.comparison import side_by_side

        sheet = side_by_side(original, made)
    if job.target == STDIO:
        buffer = io.BytesIO()
        write_picture(made, buffer, target, encoding)
        left = buffer.getbuffer()
        while left:
            # An unbuffered stream may write only a part, and returns its length.
            left = left[sys.stdout.buffer.write(left) :]
        sys.stdout.buffer.flush()
    else:
        for path, content in ((job.target, made), (job.comparison, sheet)):
            if content is None or (
                options.skip_existing and is_readable_result(path, options.max_pixels)
            ):
                continue
            broken = options.skip_existing and os.path.isfile(path)
            if broken:
                made.notes.append(Note("unreadable-result-replaced", {"file": str(path)}))
            with atomic_write(path, overwrite=options.overwrite or broken) as file:
                write_picture(content, file, target, encoding)
            send(path, path, overwrite=options.overwrite)
    return replace(
        result,
        notes=(*job.notes, *made.notes),
        seconds=time.perf_counter() - began,
    )


def encoding_of(options: UpscaleOptions) -> Encoding:
    """How the results of a request are encoded."""
    return Encoding(options.quality, options.lossless, options.strip)
