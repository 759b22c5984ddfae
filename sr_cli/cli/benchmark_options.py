"""The options of `sr benchmark`, and which of them cannot be used together."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sr_cli.errors import RefusedError

if TYPE_CHECKING:
    from sr_cli.evaluation.sheet import Crop


@dataclass(frozen=True)
class Options:
    """The command line of `sr benchmark`."""

    sets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SET",
            help="Set5, Set14, BSD100, Urban100, or folders. Default: Set5 and Set14.",
        ),
    ] = None
    model: Annotated[
        list[str] | None,
        typer.Option(
            "-m", "--model", help="Network, id or checkpoint file. Default: all trained models."
        ),
    ] = None
    scale: Annotated[
        str | None, typer.Option("-x", "-s", "--scale", help="2, 3 or 4. Default: 4.")
    ] = None
    hr: Annotated[Path | None, typer.Option("--hr", help="Folder of originals; needs --lr.")] = None
    lr: Annotated[
        Path | None, typer.Option("--lr", help="Folder of their lr images, paired by name.")
    ] = None
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Read the test sets from this folder; they are verified."),
    ] = None
    luma: Annotated[
        str, typer.Option("--luma", help="unrounded, or rounded as in the oldest papers.")
    ] = "unrounded"
    rgb: Annotated[bool, typer.Option("--rgb", help="Also measure PSNR on RGB.")] = False
    lpips: Annotated[
        str | None, typer.Option("--lpips", help="Also measure LPIPS: alex or vgg.")
    ] = None
    lpips_weights: Annotated[
        Path | None,
        typer.Option("--lpips-weights", help="Read LPIPS's weights from this file."),
    ] = None
    dists: Annotated[bool, typer.Option("--dists", help="Also measure DISTS.")] = False
    trunk: Annotated[
        Path | None,
        typer.Option("--trunk", help="Read VGG16's weights, for --dists, from this file."),
    ] = None
    niqe: Annotated[
        bool, typer.Option("--niqe", help="Also measure NIQE, which needs no original.")
    ] = False
    strength: Annotated[
        float | None,
        typer.Option(
            "--strength", help="How far photo restores, 0 to 1, as in sr upscale. Default: 1."
        ),
    ] = None
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")] = False
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown on stdout.")] = False
    per_image: Annotated[bool, typer.Option("--per-image", help="Print a line for each image.")] = (
        False
    )
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Plot PSNR over speed to this PNG (extra: plot)."),
    ] = None
    save: Annotated[
        Path | None, typer.Option("--save", help="Write the upscaled images to this folder.")
    ] = None
    compare: Annotated[
        Path | None,
        typer.Option("--compare", help="Write a sheet of crops through every model to this PNG."),
    ] = None
    region: Annotated[
        str,
        typer.Option(
            "--region", help="What --compare shows: differ, edges, texture, or IMAGE:LEFT,TOP,SIDE."
        ),
    ] = "differ"
    ab: Annotated[
        Path | None,
        typer.Option("--ab", help="Write a page for a blind comparison to this folder."),
    ] = None
    degradation: Annotated[
        list[str] | None,
        typer.Option(
            "--degradation", help="How lr is made: bicubic, noise or photo. Several only with --ab."
        ),
    ] = None
    ocr: Annotated[
        str | None,
        typer.Option(
            "--ocr",
            metavar="LANGUAGE",
            help="Let Tesseract read folders of text (FILE.png with FILE.gt.txt): eng, deu+fra.",
        ),
    ] = None
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            help="Check the shipped figures; exit with 1 unless they hold.",
        ),
    ] = False
    tile: Annotated[
        int | None,
        typer.Option("-t", "--tile", help="Tile size in input pixels. Default: from free memory."),
    ] = None
    device: Annotated[
        str,
        typer.Option("--device", help="auto, cpu, cuda, cuda:N, mps, or openvino for ONNX files."),
    ] = "auto"
    precision: Annotated[str, typer.Option("--precision", help="auto, fp32, bf16 or fp16.")] = (
        "auto"
    )
    threads: Annotated[
        int | None, typer.Option("--threads", help="CPU threads. Default: all cores.")
    ] = None
    overwrite: Annotated[
        bool, typer.Option("-y", "--overwrite", help="Overwrite existing files.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only errors.")] = False

    @property
    def degradations(self) -> tuple[str, ...]:
        """How lr is made."""
        return tuple(self.degradation or ["bicubic"])


def check_options(given: Options) -> None:
    """Check that the options fit together and that the output files can be written.

    Raises:
        RefusedError: `conflicting-options`, `option-requires`, `wrong-type`, `already-exists`,
            `folder-not-found`, `output-not-a-folder`.
    """
    for option, other in _conflicts(given):
        raise RefusedError("conflicting-options", option, other=other)
    for option, other in _missing(given):
        raise RefusedError("option-requires", option, other=other)
    _check_outputs(given)


def _conflicts(given: Options) -> list[tuple[str, str]]:
    """Pairs of options that exclude each other."""
    formats = ("--json", given.json), ("--csv", given.csv), ("--markdown", given.markdown)
    chosen = [name for name, is_given in formats if is_given]
    found = [(chosen[0], other) for other in chosen[1:]]
    if given.hr is not None and given.sets:
        found.append(("--hr", "names of sets"))
    if len(given.degradations) > 1:
        files = ("--plot", given.plot), ("--compare", given.compare), ("--save", given.save)
        found += [(name, "several degradations") for name, path in files if path is not None]
    if given.ocr is not None:
        found += [("--ocr", other) for other in _not_for_ocr(given)]
    return found + ([("--check", other) for other in _not_for_check(given)] if given.check else [])


def _missing(given: Options) -> list[tuple[str, str]]:
    """Options that require another one that is missing."""
    found = []
    if given.hr is not None and given.lr is None:
        found.append(("--hr", "--lr"))
    if given.lr is not None and given.hr is None:
        found.append(("--lr", "--hr"))
    if given.region != "differ" and given.compare is None:
        found.append(("--region", "--compare"))
    if len(given.degradations) > 1 and given.ab is None:
        found.append(("more than one --degradation", "--ab"))
    if given.trunk is not None and not given.dists:
        found.append(("--trunk", "--dists"))
    if given.ocr is not None and not given.sets:
        found.append(("--ocr", "a folder"))
    return found


def _not_for_check(given: Options) -> list[str]:
    """Options that `--check` does not support: it follows the papers and needs none of them."""
    others = {"--csv": given.csv, "--markdown": given.markdown, "--per-image": given.per_image,
              "--precision": given.precision != "auto", "--ocr": given.ocr}  # fmt: skip
    return [*_of_other_measures(given), *(name for name, value in others.items() if value)]


def _not_for_ocr(given: Options) -> list[str]:
    """Options that `--ocr` does not support: it compares texts, not images."""
    others = {"--lr": given.lr, "--data-dir": given.data_dir, "--check": given.check}
    return [*_of_other_measures(given), *(name for name, value in others.items() if value)]


def _of_other_measures(given: Options) -> list[str]:
    """Options about comparing images with their originals, as far as they are given."""
    others = {
        "--hr": given.hr,
        "--rgb": given.rgb,
        "--lpips": given.lpips,
        "--lpips-weights": given.lpips_weights,
        "--dists": given.dists,
        "--trunk": given.trunk,
        "--niqe": given.niqe,
        "--strength": given.strength is not None,
        "--plot": given.plot,
        "--save": given.save,
        "--compare": given.compare,
        "--ab": given.ab,
        "--degradation": given.degradation,
        "--luma": given.luma != "unrounded",
    }
    return [name for name, value in others.items() if value]


def _check_outputs(given: Options) -> None:
    for option, path in (("--plot", given.plot), ("--compare", given.compare)):
        if path is None:
            continue
        if path.suffix.lower() != ".png":
            raise RefusedError("wrong-type", option, value=path, wanted="a .png file")
        if path.exists() and not given.overwrite:
            raise RefusedError("already-exists", path)
        if not path.parent.is_dir():
            raise RefusedError("folder-not-found", path.parent)
    for folder in (given.ab, given.save):
        if folder is not None and os.path.exists(folder) and not folder.is_dir():
            raise RefusedError("output-not-a-folder", folder)
    if given.ab is not None and (given.ab / "index.html").exists() and not given.overwrite:
        raise RefusedError("already-exists", given.ab / "index.html")


def parse_region(text: str) -> str | Crop:
    """A crop from `IMAGE:LEFT,TOP,SIDE`, or the name of a kind of region, as given.

    Raises:
        RefusedError: `unknown-value`.
    """
    from sr_cli.evaluation.sheet import REGIONS, Crop

    if text in REGIONS:
        return text
    match = re.fullmatch(r"(.+):(\d+),(\d+),(\d+)", text)
    if not match or int(match.group(4)) < 1:
        known = [*REGIONS, "IMAGE:LEFT,TOP,SIDE"]
        raise RefusedError("unknown-value", "--region", value=text, known=known)
    name, left, top, side = match.groups()
    return Crop(name, int(left), int(top), int(side))
