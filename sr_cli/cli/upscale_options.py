"""The options of `sr upscale`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from sr_cli.cli.durations import parse_duration
from sr_cli.errors import RefusedError

if TYPE_CHECKING:
    from sr_cli.engine.options import Adaptation

_OUTPUT_HELP = (
    "Output file, or folder if it exists or ends in /; - writes to stdout. "
    "A single clip becomes images in a folder, or frames/%06d.png, with their times in "
    "timestamps.txt; -f mp4 writes a clip into the folder."
)

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"


def parse_scale(text: str) -> float:
    """`4`, `x4`, `4x`, `×4`, `2.5` as a factor.

    Raises:
        RefusedError: `out-of-range` unless it is a number above 1 and up to 16.
    """
    from sr_cli.upscale.request import check_factor

    match = re.fullmatch(rf"[xX×]?({_NUMBER})|({_NUMBER})[xX×]", text.strip(), re.ASCII)
    if match is None:
        raise RefusedError(
            "out-of-range", "scale", value=f"'{text}'", allowed="above 1, at most 16"
        )
    check_factor(factor := float(match[1] or match[2]))
    return factor


def parse_adaptation(text: str) -> Adaptation:
    """`200` as steps; `60s`, `2m`, `1h30m` as a time.

    Raises:
        RefusedError: `invalid-duration` for anything else.
    """
    from sr_cli.engine.options import Adaptation

    steps = re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII)
    if steps and int(text):
        return Adaptation(steps=int(text))
    return Adaptation(seconds=parse_duration(text, hint="steps"))


@dataclass(frozen=True)
class Options:
    """The command line of `sr upscale`."""

    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT",
            help="Images, clips, .cbz archives, folders or patterns, or their addresses in a store "
            "(s3://bucket/folder/); - reads stdin.",
        ),
    ] = None
    output: Annotated[str | None, typer.Option("-o", "--output", help=_OUTPUT_HELP)] = None
    model: Annotated[
        list[str] | None,
        typer.Option(
            "-m",
            "--model",
            help="Network, id, checkpoint or ONNX file, or address. a+b applies two in turn; "
            "repeat -m to average several. auto: text for pages, photo for all other images.",
        ),
    ] = None
    scale: Annotated[
        list[str] | None,
        typer.Option(
            "-x", "-s", "--scale", help="Factor, above 1, up to 16. Default: the model's own, or 4."
        ),
    ] = None
    width: Annotated[
        int | None, typer.Option("--width", help="Width of the result; with --height: fit inside.")
    ] = None
    height: Annotated[int | None, typer.Option("--height", help="Height of the result.")] = None
    max_side: Annotated[
        int | None, typer.Option("--max-side", help="Limit the longest side of the result.")
    ] = None
    format: Annotated[
        str | None,
        typer.Option(
            "-f",
            "--format",
            help="Output format: jpg, png, webp, tif, bmp, gif, avif, jxl, or dcm of DICOM files; "
            "of clips mp4, mkv, webm or mov. With an image format, a clip becomes a folder of "
            "images.",
        ),
    ] = None
    quality: Annotated[
        int | None,
        typer.Option(
            "-q", "--quality", help="Quality, 1 to 100. Default: JPEG 95, WebP 92, AVIF 90, JXL 90."
        ),
    ] = None
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Write lossless WebP, AVIF, JPEG XL or video.")
    ] = False
    suffix: Annotated[
        str | None,
        typer.Option(
            "--suffix", help="Appended to output names. Default: _x4 next to inputs, else none."
        ),
    ] = None
    recursive: Annotated[
        bool, typer.Option("-r", "--recursive", help="Include the subfolders of folders.")
    ] = False
    overwrite: Annotated[
        bool, typer.Option("-y", "--overwrite", help="Overwrite existing files.")
    ] = False
    skip_existing: Annotated[
        bool,
        typer.Option("--skip-existing", help="Skip images whose result exists; resumes a batch."),
    ] = False
    flatten: Annotated[
        bool,
        typer.Option(
            "--flatten",
            help="Drop what the format does not support: 16 bits, alpha (onto white), frames; "
            "of clips, streams.",
        ),
    ] = False
    strip: Annotated[
        bool,
        typer.Option(
            "--strip",
            help="Drop EXIF, XMP, the ICC profile, HDR gain maps and other metadata.",
        ),
    ] = False
    compare: Annotated[
        bool, typer.Option("--compare", help="Also write NAME_compare, bicubic next to the result.")
    ] = False
    tile: Annotated[
        int | None,
        typer.Option(
            "-t",
            "--tile",
            help="Tile size in input pixels; 0 for the whole image. Default: from free memory.",
        ),
    ] = None
    device: Annotated[
        str,
        typer.Option(
            help="auto, cpu, cuda, cuda:N, mps, or openvino for ONNX files. cuda:0,cuda:1 starts "
            "a worker for each."
        ),
    ] = "auto"
    precision: Annotated[str, typer.Option(help="auto (measured once), fp32, bf16 or fp16.")] = (
        "auto"
    )
    threads: Annotated[int | None, typer.Option(help="CPU threads. Default: all cores.")] = None
    tta: Annotated[
        bool,
        typer.Option(
            "--tta", help="Average eight flips and rotations: 8x slower, slightly better."
        ),
    ] = False
    wrap: Annotated[
        str,
        typer.Option(
            "--wrap",
            help="x, y or both: the image continues at its other end (textures, panoramas).",
        ),
    ] = "none"
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Reduce each result again with bicubic, and report the largest and the mean "
            "deviation from the input, in 255ths of the range of values.",
        ),
    ] = False
    consistent: Annotated[
        bool,
        typer.Option(
            "--consistent",
            help="Change each result as little as needed to give back the input when it is "
            "reduced: nothing that was measured is lost. Computed in fp32.",
        ),
    ] = False
    strength: Annotated[
        float | None,
        typer.Option(
            "--strength",
            help="How far photo restores: from 0, faithful, noise and all, to 1, clean and sharp. "
            "Default: 1.",
        ),
    ] = None
    adapt: Annotated[
        str | None,
        typer.Option(
            "--adapt",
            metavar="TIME|STEPS",
            help="Tune the network to each image before upscaling it, for 60s or 2m, or in 200 "
            "steps. For images of repeated structure; see docs/photos.md.",
        ),
    ] = None
    download: Annotated[
        bool, typer.Option("--download", help="Download the public weights that -m needs.")
    ] = False
    max_pixels: Annotated[
        int,
        typer.Option(help="Largest input or result, in pixels; of TIFF in windows, of a window."),
    ] = 512_000_000
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Read truncated files as far as possible.")
    ] = False
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec",
            help="Of clips: h264, hevc, av1, vp9, ffv1 or prores. Default: the clip's own.",
        ),
    ] = None
    crf: Annotated[
        int | None,
        typer.Option(
            "--crf",
            help="Of clips: constant rate factor, 0 to 63, lower is better. Default: h264 16, "
            "hevc 19, vp9 22, av1 24.",
        ),
    ] = None
    colour: Annotated[
        str | None,
        typer.Option(
            "--colour",
            help="Read clips as bt601, bt709 or bt2020 (-full for full range), whatever their "
            "tags. Default: the tags; untagged clips bt601 below 720p, bt709 above.",
        ),
    ] = None
    deinterlace: Annotated[
        bool, typer.Option("--deinterlace", help="Deinterlace interlaced clips (bwdif).")
    ] = False
    allow_damaged: Annotated[
        bool,
        typer.Option("--allow-damaged", help="Go on over damaged frames and truncated clips."),
    ] = False
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue interrupted clips from NAME.parts.")
    ] = False
    fps: Annotated[
        str | None,
        typer.Option(
            "--fps",
            help="Frames a second of images that become a clip: -o clip.mp4. Default: the times "
            "in timestamps.txt beside them.",
        ),
    ] = None
    steady: Annotated[
        bool | None,
        typer.Option(
            "--steady/--no-steady",
            help="Of clips: keep the result where nothing changes beyond noise. "
            "Default: with photo.",
        ),
    ] = None
    preview: Annotated[
        int | None,
        typer.Option(
            "--preview",
            help="Of clips: write NAME_preview.png, bicubic beside the result at this many "
            "moments, and no clip.",
        ),
    ] = None
    workers: Annotated[
        int | None,
        typer.Option("--workers", help="Upscale in several processes, which share the cores."),
    ] = None
    cluster: Annotated[
        str | None,
        typer.Option(
            "--cluster",
            metavar="ADDRESS",
            help="Upscale on the workers of a Dask scheduler: tcp://HOST:PORT or tls://HOST:PORT.",
        ),
    ] = None
    split_pixels: Annotated[
        int | None,
        typer.Option(
            "--split-pixels", help="Divide images of more input pixels among the workers."
        ),
    ] = None
    some: Annotated[
        bool,
        typer.Option("--some", help="Leave out workers that are not fit, instead of refusing."),
    ] = False
    tls_ca: Annotated[
        str | None,
        typer.Option("--tls-ca", metavar="FILE", help="Certificate authority of the cluster, PEM."),
    ] = None
    tls_cert: Annotated[
        str | None, typer.Option("--tls-cert", metavar="FILE", help="Own certificate, PEM.")
    ] = None
    tls_key: Annotated[
        str | None, typer.Option("--tls-key", metavar="FILE", help="Key of the certificate, PEM.")
    ] = None
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Allow a scheduler on another machine without TLS."),
    ] = False
    stdin_list: Annotated[
        bool,
        typer.Option(
            "--stdin-list",
            help="Read names of files from stdin, one a line, and upscale each as it comes. "
            "Prints one line for each on stdout: the result, or nothing if it failed.",
        ),
    ] = False
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be written, and exit.")
    ] = False
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per image on stdout.")
    ] = False
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Print more on stderr.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only errors.")] = False
