"""The Python interface: pictures in memory."""

from __future__ import annotations

from functools import lru_cache
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from sr_cli.engine.enlarge import Enlarger

    Pixels = TypeVar("Pixels", Image.Image, NDArray[np.uint8], NDArray[np.uint16])
else:
    Pixels = TypeVar("Pixels")


def upscale_image(
    image: Pixels,
    *,
    model: str | Path | None = None,
    scale: float = 4.0,
    device: str = "auto",
    precision: str = "auto",
    tile: int | None = None,
    tta: bool = False,
) -> Pixels:
    """Enlarge a picture `scale` times; the same type comes back, a PIL image with its profile.

    image: a PIL image of any mode that `sr upscale` reads, or an array (h, w), (h, w, 3) or
        (h, w, 4) of uint8 or uint16: gray, RGB, RGB with alpha.
    model: a network, an id, a checkpoint file or an address; None takes the one of `sr upscale`.
    scale: above 1, up to 16. The other arguments are those of `sr upscale`.

    Loaded networks are kept for the next call. Raises SrError (RefusedError for arguments).
    """
    import numpy as np
    from PIL import Image

    from sr_cli.engine.enlarge import MAX_FACTOR, Size, enlarge_picture
    from sr_cli.errors import RefusedError
    from sr_cli.imaging.decode import from_pillow
    from sr_cli.imaging.encode import to_pillow
    from sr_cli.imaging.picture import Frame, Picture

    if isinstance(scale, bool) or not isinstance(scale, Real):
        raise RefusedError(f"scale {scale!r} is not a number")
    if tile is not None and (not isinstance(tile, Integral) or tile < 1):
        raise RefusedError(f"tile {tile!r}: must be an integer of at least 1")
    scale, tile = float(scale), None if tile is None else int(tile)
    if not 1 < scale <= MAX_FACTOR:
        raise RefusedError(f"scale {scale:g} is out of range", f"above 1, at most {MAX_FACTOR:g}")
    if isinstance(image, Image.Image):
        frame = from_pillow(image)
    elif isinstance(image, np.ndarray):
        frame = _frame_of(image)
    else:
        raise RefusedError(f"not a picture: {type(image).__name__}", "a PIL image or a numpy array")
    enlarger = _enlarger(None if model is None else str(model), scale, device, precision, tile, tta)
    made = enlarge_picture(Picture([frame], "PNG"), enlarger, Size(scale)).frames[0]
    result: Any
    if isinstance(image, np.ndarray):
        result = made.pixels if made.alpha is None else np.dstack([made.pixels, made.alpha])
    elif made.pixels.dtype == np.uint16:
        result = Image.fromarray(made.pixels)
    else:
        result = to_pillow(Frame(made.pixels, made.alpha))
    if isinstance(image, Image.Image):
        # CMYK and Lab have become sRGB, which needs no profile.
        kept = {"dpi"} if image.mode in ("CMYK", "LAB") else {"dpi", "icc_profile"}
        result.info |= {key: image.info[key] for key in kept if key in image.info}
    # What comes out has the type that went in, which mypy cannot follow.
    return cast("Pixels", result)


def _frame_of(array: Any) -> Any:
    import numpy as np

    from sr_cli.errors import RefusedError
    from sr_cli.imaging.picture import Frame

    shape_ok = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype not in (np.uint8, np.uint16) or not shape_ok or 0 in array.shape:
        raise RefusedError(
            f"not a picture: {array.dtype} array of shape {array.shape}",
            "uint8 or uint16, (h, w), (h, w, 3) or (h, w, 4)",
        )
    if array.ndim == 3 and array.shape[2] == 4:
        return Frame(np.ascontiguousarray(array[..., :3]), np.ascontiguousarray(array[..., 3]))
    return Frame(np.ascontiguousarray(array))


@lru_cache(maxsize=4)
def _enlarger(
    model: str | None, scale: float, device: str, precision: str, tile: int | None, tta: bool
) -> Enlarger:
    from sr_cli.engine.build import EngineOptions, build_enlarger
    from sr_cli.registry.manifest import choose

    return build_enlarger([choose(model)], scale, EngineOptions(device, None, precision, tile, tta))
