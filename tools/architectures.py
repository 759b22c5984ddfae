"""Write the table of architectures in docs/foreign-checkpoints.md, as measured on this CPU.

    python tools/architectures.py --image FILE [CHECKPOINT ...]

One row for each network that the tests build small, with random weights, and for each CHECKPOINT.
FILE is an image that the probe does not know: tiles are compared with a whole pass over it. What
the cache remembers is not measured again; SR_CACHE names another cache.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_cli import __version__
from sr_cli.engine.device import pick_precision
from sr_cli.engine.findings import HalfPrecision, Place
from sr_cli.engine.probe import probe
from sr_cli.engine.textured import textured_image
from sr_cli.engine.upscaler import Upscaler
from sr_cli.errors import SrError
from sr_cli.imaging.decode import read_picture
from sr_cli.registry.loaded import LoadedModel
from sr_cli.registry.ref import parse_model

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/foreign-checkpoints.md"
TILE = 48
"""So small that even networks with the largest halo need several for the image."""

HEIGHT, WIDTH = 93, 253
"""Of the part of the image that is upscaled: no multiples of any grid."""

_TABLE = re.compile(r"(?<=<!-- architectures -->\n).*?(?=<!-- end -->)", re.S)
_HEAD = (
    "architecture", "network", "grid", "halo", "least", "precision", "probe", "image", "remark",
)  # fmt: skip
_CPU = torch.device("cpu")
_SCALED = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
_SIDE = 64
_SPREAD = 0.25
"""Of the last layer's output, about that of an image in [0, 1]."""


REMARKS: Mapping[str, str] = {
    "atd": "sorts all pixels by category",
    "craft": "attention between channels, over the whole image",
    "dat": "attention between channels and averages, over the whole image",
    "dctlsa": "at the edges of the image, windows go on at the opposite edge",
    "fdat": "attention between channels, over the whole image",
    "fdat-dysample": "does not run without an NVIDIA driver",
    "hat": "averages over the whole image",
    "nafnet": "averages over the whole image",
    "omnisr": "attention between channels and averages, over the whole image",
    "rcan": "averages over the whole image",
    "rcan-unshuffled": "averages over the whole image",
    "real-cugan": "averages over the whole image",
    "realplksr": "normalises over the whole image",
    "rgt": "attention to a summary of the whole image",
    "seemore": "chooses experts by averages over the whole image",
}
"""Why tiles of a network cannot equal a whole pass, or why it has no figures."""


def table(rows: Iterable[Sequence[str]]) -> str:
    """The table with the versions that it holds for."""
    lines = [_HEAD, ["---"] * len(_HEAD), *rows]
    return f"{_versions()}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def networks(checkpoints: Iterable[Path]) -> Iterator[tuple[str, LoadedModel]]:
    """The checkpoints, then the networks of the tests, each with the name of its row."""
    sys.path.append(str(ROOT / "tests"))
    from helpers.architectures import SMALL, write_checkpoint

    for path in checkpoints:
        yield path.name, parse_model(str(path)).load(None)
    with TemporaryDirectory() as folder:
        for name in sorted(SMALL):
            path = write_checkpoint(name, Path(folder) / f"{name}.safetensors")
            yield name, strengthened(parse_model(str(path)).load(None))


def strengthened(model: LoadedModel) -> LoadedModel:
    """The model with random weights as large as they can be without signals growing or fading.

    As they are initialised, attention hardly shows in the result, and what tiles need stays unseen.
    Each layer is scaled so that its output has a spread of 1, in the order in which they are called
    (Mishkin and Matas, "All you need is a good init", 2016); the last one to a spread of an image.

    Args:
        model: A network of another tool; its weights are changed.
    """
    scaled: list[nn.Module] = []

    def divide(layer: nn.Module, spread: Tensor | float) -> None:
        for tensor in layer.parameters(recurse=False):
            tensor.div_(spread)

    def scale(layer: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> Tensor:
        spread = output.std(correction=0)
        if not spread > 0:
            return output
        divide(layer, spread)
        scaled.append(layer)
        return output / spread

    for name, tensor in model.network.named_parameters():
        if not name.endswith("bias") and not tensor.any():
            # The scale of a residual branch that starts at 0, as NAFNet's.
            tensor.data.fill_(1)
    # Not their subclasses: RCAN's subtraction of a mean is one, and fixed.
    layers = [m for m in model.network.modules() if type(m) in _SCALED]
    image = textured_image(_SIDE, _SIDE, model.network.channels)
    # What raises here is named by the probe.
    with torch.no_grad(), suppress(Exception):
        with ExitStack() as hooks:
            for layer in layers:
                hooks.enter_context(layer.register_forward_hook(scale))
            model.network(image)
        divide(scaled[-1], 1 / _SPREAD)
        if (spread := float(model.network(image).std((2, 3)).mean())) < _SPREAD / 10:
            # It computes in levels of 255, and divides by them at its end.
            divide(scaled[-1], spread / _SPREAD)
    return replace(model, sha256=f"{model.sha256}-strengthened")


def measure(name: str, model: LoadedModel, lr: NDArray[np.float32]) -> list[str]:
    """The cells of a network's row.

    Args:
        name: Of the row.
        model: With its weights.
        lr: (h, w, 3) in [0, 1], on which tiles are compared with a whole pass.
    """
    first, remark = [model.traits.architecture, f"`{name}`"], REMARKS.get(name, "")
    try:
        found = probe(model, Place(_CPU, pick_precision(_CPU)))
    except SrError as error:
        if error.code != "network-failed":
            raise
        return [*first, *["–"] * 6, remark]
    whole, tiled = (Upscaler(model, device="cpu", tile=tile) for tile in (0, TILE))
    difference = 255 * float(np.abs(tiled(lr) - whole(lr)).max())
    expected = found.tiles.difference if found.tiles else 0.0
    sides = (str(n) for n in (tiled.grid, tiled.halo, found.least))
    return [*first, *sides, _precision(found.half), f"{expected:.1f}", f"{difference:.1f}", remark]


def _precision(half: HalfPrecision | None) -> str:
    """The precision that is used; with the difference of half precision from float32."""
    if half is None:
        return "fp32"
    if half.worst is None:
        return f"fp32 ({half.precision} fails)"
    if half.is_used:
        return f"{half.precision} ({half.worst:.1f})"
    why = ", no faster" if half.is_safe else ""
    return f"fp32 ({half.precision} {half.worst:.1f}{why})"


def _versions() -> str:
    torch_version = torch.__version__.partition("+")[0]
    kind = torch.backends.cpu.get_cpu_capability()
    return (
        f"Measured by `tools/architectures.py` with sr {__version__}, spandrel "
        f"{version('spandrel')} and PyTorch {torch_version} on a CPU with {kind}:"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("checkpoints", nargs="*", type=Path)
    parser.add_argument("--image", type=Path, required=True)
    options = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    if not _TABLE.search(page):
        raise SystemExit(f"{PAGE.name}: no table to write")
    lr = read_picture(options.image).frames[0].pixels[:HEIGHT, :WIDTH].astype(np.float32) / 255
    rows = []
    for name, model in networks(options.checkpoints):
        rows.append(measure(name, model, lr))
        print(*rows[-1], flush=True)
    written = table(rows)
    PAGE.write_text(_TABLE.sub(lambda _: written, page), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
