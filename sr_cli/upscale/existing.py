"""Outputs that exist: whether they are results, and whether an input is one of them."""

from __future__ import annotations

import os
from pathlib import Path

from sr_cli.upscale.archive import is_archive, is_whole
from sr_cli.upscale.inputs import STDIO
from sr_cli.upscale.outputs import Job
from sr_cli.upscale.remote import address_of
from sr_cli.upscale.request import UpscaleOptions
from sr_cli.video.containers import container_of_name


def output_exists(job: Job, options: UpscaleOptions) -> bool:
    """Whether the output exists and must not be overwritten, so that nothing is computed.

    What is skipped must be readable: a part of a file is not the result of an image. A folder of
    images is no such output: each of them is looked at when its turn comes.
    """
    if job.target == STDIO or options.overwrite or job.into_folder:
        return False
    outputs = job.outputs(compare=options.compare)
    if options.skip_existing:
        return all(is_readable_result(p, options.max_pixels) for p in outputs)
    return any(os.path.exists(p) for p in outputs)


def is_readable_result(output: Path, max_pixels: int) -> bool:
    """Whether a result is there and no part of one.

    Args:
        output: An image, which is decoded; an archive, whose checksums are compared; or a clip.
        max_pixels: Of an image; larger ones are not decoded.
    """
    if container_of_name(output) is not None and not address_of(output):
        from sr_cli.video.probe import read_clip_size

        return read_clip_size(output) is not None
    from sr_cli.imaging.decode import is_readable, read_size

    if address_of(output):
        # What is in a store is complete.
        return os.path.exists(output)
    if is_archive(output):
        return is_whole(output, max_pixels, lambda page: read_size(page) is not None)
    return is_readable(output, max_pixels)


def is_same_file(a: Path, b: Path) -> bool:
    """Whether both are one file that exists, also through links, so that writing one changes both.

    Hard links are not: writing gives one of the names a new file.
    """
    try:
        names_it_twice = os.path.realpath(a) != os.path.realpath(b)
        return os.path.samefile(a, b) and not (names_it_twice and a.stat().st_nlink > 1)
    except OSError:
        return False
