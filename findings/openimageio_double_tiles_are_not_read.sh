#!/usr/bin/env bash
# OpenImageIO: a tiled TIFF in double precision is not read; the numbers are what lay in memory.
#
# Guess:     tiles and strips, float and double are read alike (OpenImageIO writes them all), or something is refused.
# Behaviour: double in strips and float in tiles are right. Double in tiles, with and without compression, comes
#            back as an image of the right size whose samples are noughts, numbers like 1e-310 or 1e+295, NaN, and
#            here and there what an earlier step left behind; others with each call. ImageBuf and ImageInput report no error. OpenImageIO's own
#            files are correct (tifffile and GDAL read them), and it cannot read them back.
# Matters:   elevation and climate grids are doubles in tiles (GDAL's COG). Where memory happens to be empty the picture
#            is black and plausible; scaled to 8 bits, numbers of 1e+295 make it black with single white dots.
# Standard:  TIFF 6.0, sections 15 (tiles) and 19 (SampleFormat 3, IEEE floating point, here of 64 bits).
# Packages:  openimageio 3.2.2.0, tifffile 2026.3.3, rasterio 1.4.4 (its wheel's GDAL), numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'openimageio==3.2.2.0' \
    'tifffile==2026.3.3' 'imagecodecs==2026.3.6' 'rasterio==1.4.4' 'numpy==2.4.6'
cd "$work"
venv/bin/python -W ignore - <<'PY'
import numpy as np
import OpenImageIO as oiio
import rasterio
import tifffile

print("guess: the samples that were written")
print(f"OpenImageIO {oiio.VERSION_STRING}, tifffile {tifffile.__version__}, rasterio {rasterio.__version__} "
      f"(GDAL {rasterio.__gdal_version__})")
# 3 is in each sample, so that neither empty nor used memory looks like it.
pixels = 3 + np.random.default_rng(0).random((64, 48))


def right(path, expected):
    """The part of the samples that OpenImageIO reads as they are, by ImageBuf and by ImageInput."""
    buffer = oiio.ImageBuf(path)
    by_buffer = buffer.get_pixels(buffer.spec().format)[..., 0]
    source = oiio.ImageInput.open(path)
    by_input = source.read_image(source.spec().format)[..., 0]
    assert not buffer.has_error and not source.geterror(), "it says that all is well"
    source.close()
    return [float((got == expected).mean()) for got in (by_buffer, by_input)]


seen = {}
for kind in (np.float32, np.float64):
    for tile in (None, (16, 16)):
        for compression in (None, "zlib"):
            expected = pixels.astype(kind)
            tifffile.imwrite("picture.tif", expected, tile=tile, compression=compression)
            with rasterio.open("picture.tif") as file:
                assert (file.read(1) == expected).all(), "GDAL reads it"
            seen[kind.__name__, bool(tile), bool(compression)] = right("picture.tif", expected)
            print(f"  {kind.__name__}, {'tiles' if tile else 'strips'}, {compression}: right by OpenImageIO",
                  [round(part, 3) for part in seen[kind.__name__, bool(tile), bool(compression)]])
for (kind, tiled, _), parts in seen.items():
    assert max(parts) < 0.3 if kind == "float64" and tiled else parts == [1, 1], kind

spec = oiio.ImageSpec(48, 64, 1, "double")
spec.tile_width = spec.tile_height = 16
output = oiio.ImageOutput.create("own.tif")
assert output.open("own.tif", spec) and output.write_image(pixels[..., None]) and output.close()
assert (tifffile.imread("own.tif") == pixels).all(), "what it writes is right"
parts = right("own.tif", pixels)
print("behaviour: of its own file, too, it reads but", [round(part, 3) for part in parts], "of the samples")
assert max(parts) < 0.3
PY
