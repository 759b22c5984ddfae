"""INT8: static quantisation of the inner layers, with ranges learnt from images, and its cost."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_cli.engine.textured import WIDTH, textured_image
from sr_cli.engine.upscaler import Upscaler
from sr_cli.evaluation.datasets import open_set
from sr_cli.evaluation.metrics import psnr_y
from sr_cli.export.onnx_file import quiet
from sr_cli.imaging.conversion import opaque_8_bit
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic
from sr_cli.registry.loaded import LoadedModel

Pixels = NDArray[Any]

ALLOWED_COST = 0.1
"""PSNR-Y in dB that int8 may cost."""

_PHOTOS = Path(__file__).with_name("held_back.jpg")
"""Six photographs of 128x128 (gb82, public domain); int8 costs about as much on them as on Set5."""

_MOST_PSNR = 50.0
"""PSNR-Y in dB above which nothing is seen; an image that is exact would have an infinite one."""

_SIDE = 64
_MOST_TILES = 32
_TILES_OF_AN_IMAGE = 4
_HELD_BACK_SIDE = 256


@dataclass(frozen=True)
class Images:
    """What int8 is made with; all (h, w, 3) uint8.

    Attributes:
        calibration: Tiles of 64x64 pixels from which ranges are learnt.
        held_back: Other images, on which the cost is measured.
    """

    calibration: Sequence[Pixels]
    held_back: Sequence[Pixels]


@dataclass(frozen=True)
class Cost:
    """What int8 costs.

    Attributes:
        psnr: PSNR-Y against the originals that is lost, in dB.
        levels: The largest difference from float32, in levels of 255.
    """

    psnr: float
    levels: int


def choose_images(folder: Path | None) -> Images:
    """The images of a folder, every fourth of them held back, or built-in ones.

    Args:
        folder: None for text and grass, with photographs held back.

    Raises:
        SrError: `no-images-in-folder`, and what decoding an image raises.
    """
    photos = _read(_PHOTOS)
    built_in = np.split(photos, photos.shape[1] // len(photos), axis=1)
    if folder is None:
        textured = (textured_image(_SIDE, WIDTH, 3)[0].permute(1, 2, 0) * 255).round()
        return Images(_tiles(textured.byte().numpy(), WIDTH // _SIDE), built_in)
    files = [image.hr for image in open_set(str(folder)).images]
    held_back = [_middle(_read(file)) for file in files[3::4]]
    calibration = [file for place, file in enumerate(files) if place % 4 != 3]
    tiles = [tile for file in calibration for tile in _tiles(_read(file), _TILES_OF_AN_IMAGE)]
    step = -(-len(tiles) // _MOST_TILES)
    return Images(tiles[::step], held_back or built_in)


def _read(file: Path) -> Pixels:
    pixels = opaque_8_bit(read_picture(file, as_shown=True).frames[0])
    return pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=2)


def _middle(image: Pixels) -> Pixels:
    top, left = (max(0, (side - _HELD_BACK_SIDE) // 2) for side in image.shape[:2])
    return image[top : top + _HELD_BACK_SIDE, left : left + _HELD_BACK_SIDE]


def _tiles(image: Pixels, count: int) -> list[Pixels]:
    """Tiles from the top left to the bottom right corner."""
    missing = [(0, max(0, _SIDE - side)) for side in image.shape[:2]]
    image = np.pad(image, [*missing, (0, 0)], mode="symmetric")
    rows, columns = (
        np.linspace(0, side - _SIDE, count).astype(int).tolist() for side in image.shape[:2]
    )
    places = sorted(set(zip(rows, columns, strict=True)))
    return [image[y : y + _SIDE, x : x + _SIDE] for y, x in places]


def fitted(image: Pixels, side: int) -> Pixels:
    """The top left of an image (h, w, 3), mirrored to a square of `side` pixels if it must be."""
    missing = [(0, max(0, side - length)) for length in image.shape[:2]]
    return np.pad(image, [*missing, (0, 0)], mode="symmetric")[:side, :side]


def quantise(model: Any, inputs: Sequence[NDArray[Any]], layers: Sequence[str]) -> Any:
    """Compute layers in int8: weights per channel, values by their percentiles.

    Args:
        model: An `onnx.ModelProto` in float32.
        inputs: Arrays as the graph takes them, all of one shape.
        layers: The names of the convolutions.

    Returns:
        The model with QuantizeLinear and DequantizeLinear around the layers. A ReLU becomes part
        of its layer, whose values then begin at zero.
    """
    import onnx
    from onnxruntime import quantization as ort

    results = {o for node in model.graph.node if node.name in set(layers) for o in node.output}
    relus = [
        node.name
        for node in model.graph.node
        if node.op_type == "Relu" and node.input[0] in results
    ]
    waiting = iter([{model.graph.input[0].name: values} for values in inputs])

    class Reader(ort.CalibrationDataReader):  # type: ignore[misc]
        def get_next(self) -> dict[str, NDArray[Any]] | None:
            return next(waiting, None)

    with tempfile.TemporaryDirectory() as folder, quiet():
        target = Path(folder) / "int8.onnx"
        ort.quantize_static(
            model,
            str(target),
            Reader(),
            quant_format=ort.QuantFormat.QDQ,
            per_channel=True,
            activation_type=ort.QuantType.QUInt8,
            weight_type=ort.QuantType.QInt8,
            op_types_to_quantize=["Conv", "Relu"],
            nodes_to_quantize=[*layers, *relus],
            calibrate_method=ort.CalibrationMethod.Percentile,
        )
        return onnx.load(str(target))


def measure_cost(model: LoadedModel, quantised: LoadedModel, images: Sequence[Pixels]) -> Cost:
    """Upscale reduced images in float32 and in int8, and compare both with the originals.

    Args:
        model: The network in PyTorch.
        quantised: The file in its runtime.
        images: (h, w, 3) uint8.
    """
    scale = model.network.scale
    exact, fast = (Upscaler(m, device="cpu", precision="fp32", tile=0) for m in (model, quantised))
    lost, levels = [], 0
    for image in images:
        hr = crop_to_multiple(image, scale)
        lr = downscale_bicubic(hr, scale)
        wanted, found = exact(lr), fast(lr)
        before, after = (min(_MOST_PSNR, psnr_y(sr, hr, border=scale)) for sr in (wanted, found))
        lost.append(before - after)
        levels = max(levels, int(np.abs(wanted.astype(int) - found).max()))
    return Cost(sum(lost) / len(lost), levels)
