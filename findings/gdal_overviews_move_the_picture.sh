#!/usr/bin/env bash
# GDAL (rasterio): where a reduced picture lies depends on the resampling and on overviews being there.
#
# Guess:     overviews only make reduced reading faster. A filter's kernel is centred, so smaller copies
#            lie where the original lies, whatever their resampling ("nearest" within half a pixel),
#            and enlarging with "gauss" is a soft, but centred enlargement.
# Behaviour: - read reduced with "nearest", a plain file gives the pixel just past the middle of each
#              block; once it has "nearest" overviews, the same call gives the block's first pixel:
#              at 1/8 the picture jumps by 4 pixels when overviews are added.
#            - "gauss" overviews lie half an overview pixel less half a pixel off, to the other side:
#              +0.5, +1.5 and +3.5 pixels at 1/2, 1/4 and 1/8, where "nearest" has -0.5, -1.5 and -3.5,
#              and "bilinear", "cubic" and "average" 0. Between a "gauss" pyramid of a picture and the
#              "nearest" one of its mask lie 7 pixels at 1/8.
#            - enlarging by "gauss" (out_shape larger than the file) moves the picture by a whole source
#              pixel at x2 and three quarters of one at x4.
# Matters:   training pairs cut from pyramids, masks ("nearest") over pictures ("gauss"), change detection:
#            the geotransform of every overview claims that nothing has moved.
# Standard:  GDAL's raster data model: pixel (i, j) covers i to i+1, so that the middle of a 2 x 2 block is
#            its corner point; an overview is said to cover the same area as the full picture.
# Packages:  rasterio 1.4.4 (its wheel's GDAL 3.10.3), numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'rasterio==1.4.4' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import from_origin

SIZE = 64
STEP = 10.0
ramp = np.repeat((np.arange(SIZE, dtype=np.float32) * STEP)[None], SIZE, 0)

print("guess: reduced copies lie where the picture lies; overviews only save time")
print(f"rasterio {rasterio.__version__}, GDAL {rasterio.__gdal_version__}")


def write(name, overviews=None):
    with rasterio.open(name, "w", driver="GTiff", width=SIZE, height=SIZE, count=1, dtype="float32",
                       transform=from_origin(0, SIZE, 1, 1), crs="EPSG:3857") as file:
        file.write(ramp, 1)
    if overviews:
        with rasterio.open(name, "r+") as file:
            file.build_overviews([2, 4, 8], Resampling[overviews])


def moved(row, size):
    """How far the content lies from where the grid says, in pixels of the file: the inner half."""
    claimed = (np.arange(len(row)) + 0.5) * size / len(row) - 0.5
    inner = slice(len(row) // 4, -(len(row) // 4))
    return (row / STEP - claimed)[inner]


def read(name, size):
    with rasterio.open(name) as file:
        return file.read(1, out_shape=(size, size), resampling=Resampling.nearest)[size // 2]


write("plain.tif")
write("nearest.tif", "nearest")
for factor in (2, 4, 8):
    before = moved(read("plain.tif", SIZE // factor), SIZE)
    after = moved(read("nearest.tif", SIZE // factor), SIZE)
    print(f'  read at 1/{factor} with "nearest": {before.mean():+.1f} px; with "nearest" overviews {after.mean():+.1f} px')
    assert np.allclose(before, 0.5) and np.allclose(after, -(factor - 1) / 2)

expected = {"nearest": -1, "gauss": 1, "average": 0, "bilinear": 0, "cubic": 0}
for name, sign in expected.items():
    write(f"{name}.tif", name)
    found = []
    for level, factor in enumerate((2, 4, 8)):
        with rasterio.open(f"{name}.tif", overview_level=level) as file:
            assert file.transform.a == factor and file.transform.c == 0
            shift = moved(file.read(1)[file.height // 2], SIZE)
        found.append(shift.mean())
        assert np.allclose(shift, sign * (factor - 1) / 2, atol=0.01), (name, factor, shift)
    print(f"  overviews by {name:8}: " + ", ".join(f"{s + 0.0:+.1f}" for s in np.round(found, 1) + 0.0) + " px at 1/2, 1/4, 1/8")

for factor, least in ((2, 0.9), (4, 0.7)):
    with rasterio.open("plain.tif") as file:
        sizes = (SIZE * factor, SIZE * factor)
        rows = {r: file.read(1, out_shape=sizes, resampling=Resampling[r])[9] for r in ("cubic", "gauss")}
    cubic, gauss = (moved(rows[r], SIZE).mean() for r in ("cubic", "gauss"))
    print(f"  enlarged x{factor}: cubic {cubic + 0.0:+.2f} px, gauss {gauss:+.2f} px")
    assert abs(cubic) < 0.01 and least < gauss < 1.1
print("behaviour: +3.5 px (gauss), -3.5 px (nearest) and 0 (the others) for the same 1/8 overview")
PY
