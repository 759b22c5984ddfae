"""`upscale_image`: upscale images in memory."""

from __future__ import annotations

from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_cli.engine.frames import upscale_picture
from sr_cli.engine.options import EngineOptions
from sr_cli.engine.pipeline import Pipeline, build_pipeline
from sr_cli.engine.size import Size
from sr_cli.errors import RefusedError, SrError
from sr_cli.imaging.codecs.pillow import from_pillow, to_pillow
from sr_cli.imaging.picture import Band, Frame, Picture
from sr_cli.registry.ref import parse_model
from sr_cli.registry.strength import with_strength
from sr_cli.upscale.request import check_factor

Pixels = TypeVar("Pixels", Image.Image, NDArray[np.uint8], NDArray[np.uint16], NDArray[np.float32])


def upscale_image(
    image: Pixels,
    *,
    model: str | Path | None = None,
    scale: float = 4.0,
    device: str = "auto",
    precision: str = "auto",
    tile: int | None = None,
    tta: bool = False,
    wrap: str = "none",
    consistent: bool = False,
    strength: float | None = None,
) -> Pixels:
    """Upscale an image in memory. Loaded networks are kept for the next call.

    Args:
        image: A PIL image of any mode that `sr upscale` reads, or an array of uint8, uint16 or
            float32: gray (h, w), RGB (h, w, 3) or RGBA (h, w, 4). Floats may have any range, which
            the result keeps; pixels that are NaN or infinite stay so.
        model: A network, an id, a checkpoint file or an address; None takes the general model.
        scale: The factor, above 1, up to 16.
        device: As in `EngineOptions`.
        precision: `auto` (the fastest safe one), `fp32`, `bf16` or `fp16`.
        tile: Side of a tile in input pixels; 0 for the whole image; None to choose it from the
            free memory.
        tta: Average the results of eight flips and rotations.
        wrap: `x`, `y` or `both` for an image that continues at its other end, or `none`.
        consistent: Project the result onto what gives back the image when it is reduced.
        strength: How far `photo` restores, 0 (faithful) to 1; None for 1.

    Returns:
        The same type as `image`; a PIL image keeps its ICC profile and resolution, and one of
        16-bit gray the value that means transparent.

    Raises:
        RefusedError: For arguments that are not supported.
        SrError: For a model that cannot be loaded, or an image that cannot be computed.

    Example:
        >>> import numpy as np
        >>> from sr_cli import upscale_image
        >>> upscale_image(np.zeros((24, 32, 3), np.uint8), model="espcn", scale=2).shape
        (48, 64, 3)
    """
    if isinstance(scale, bool) or not isinstance(scale, Real):
        raise RefusedError("wrong-type", "scale", value=repr(scale), wanted="a number")
    if tile is not None and (isinstance(tile, bool) or not isinstance(tile, Integral)):
        raise RefusedError("wrong-type", "tile", value=repr(tile), wanted="a whole number")
    check_factor(float(scale))
    side = None if tile is None else int(tile)
    options = EngineOptions(device, None, precision, side, tta, wrap, consistent)
    options.check()
    if isinstance(image, Image.Image):
        frame = _frame_of_pillow(image)
    elif isinstance(image, np.ndarray):
        frame = _frame_of(image)
    else:
        raise RefusedError("not-an-image", type(image).__name__)
    name = None if model is None else str(model)
    pipeline = _pipeline(name, float(scale), options, strength)
    made = upscale_picture(Picture([frame], "PNG"), pipeline, Size(float(scale))).frames[0]
    result: Any = _as_array(made) if isinstance(image, np.ndarray) else _as_pillow(made, image)
    # The result has the type of the input, which mypy cannot infer.
    return cast("Pixels", result)


def _as_array(frame: Frame) -> NDArray[Any]:
    fourth = [] if frame.alpha is None else [frame.alpha]
    fourth += [band.pixels for band in frame.bands]
    return np.dstack([frame.pixels, *fourth]) if fourth else frame.pixels


def _as_pillow(frame: Frame, image: Any) -> Image.Image:
    if frame.pixels.dtype == np.uint8:
        result = to_pillow(frame)
    else:
        result = Image.fromarray(_with_key(frame, image.info.get("transparency")))
    # CMYK and Lab were converted to sRGB, which needs no profile.
    kept = {"dpi"} if image.mode in ("CMYK", "LAB") else {"dpi", "icc_profile"}
    # Other modes have alpha instead.
    kept |= {"transparency"} if result.mode in ("I", "I;16") else set()
    result.info |= {key: image.info[key] for key in kept if key in image.info}
    return result


def _with_key(frame: Frame, key: Any) -> NDArray[Any]:
    """Gray of 16 bits in which a value means transparent, as it is in Pillow without alpha."""
    if frame.alpha is None:
        return frame.pixels
    # Visible pixels that happen to have this value take the next one.
    visible = np.where(frame.pixels == key, key - 1 if key else 1, frame.pixels)
    return np.where(frame.alpha < 32768, key, visible).astype(np.uint16)


def _frame_of_pillow(image: Image.Image) -> Frame:
    if 0 in image.size:
        raise RefusedError("not-an-image", f"image of {image.width}x{image.height} pixels")
    try:
        return from_pillow(image)
    except SrError as error:
        raise error.about(f"image of mode {image.mode}") from None
    except (OSError, ValueError) as error:
        # Files that are read when their pixels are asked for, and images that were closed.
        raise SrError("damaged-image", "image", reason=str(error)) from error


def _frame_of(array: NDArray[Any]) -> Frame:
    is_shaped = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype not in (np.uint8, np.uint16, np.float32) or not is_shaped or 0 in array.shape:
        raise RefusedError("not-an-image", f"{array.dtype} array of shape {array.shape}")
    if array.ndim == 2 or array.shape[2] == 3:
        return Frame(np.ascontiguousarray(array))
    colour, fourth = np.ascontiguousarray(array[..., :3]), np.ascontiguousarray(array[..., 3])
    if array.dtype == np.float32:
        return Frame(colour, bands=[Band(fourth)])
    return Frame(colour, fourth)


@lru_cache(maxsize=4)
def _pipeline(
    model: str | None, scale: float, options: EngineOptions, strength: float | None
) -> Pipeline:
    return build_pipeline([with_strength(parse_model(model), strength)], scale, options)
