#!/usr/bin/env bash
# rasterix with virtual-tiff: a GeoTIFF lies north of where it is, mirrored, and by the half pixel besides.
#
# Guess:     virtual-tiff hands the GeoTIFF's tie point and pixel scale on as attributes, rasterix (which names them in its
#            documentation) makes coordinates of them: the same ones as rioxarray and async-geotiff have.
# Behaviour: the pixel scale, which is positive in ordinary files, is added to y from row to row: the picture's first row
#            is right and the others lie to the north of it instead of to the south. .sel of a place in the picture
#            (method="nearest") gives a pixel of another row, counted from the bottom (a negative position); a slice of
#            places gives none; places beyond the upper edge give the mirrored picture. If the file says
#            PixelIsPoint, x and y are half a pixel off as well. async-geotiff, from the same
#            tags, has the transform of GDAL. Nothing is said; reading, slicing by index and plots by index are right.
# Matters:   stacks of Sentinel-2 and elevation tiles, training pairs cut by coordinates out of two archives: pixels of
#            other places, plausible ones.
# Standard:  OGC GeoTIFF 1.1 (19-008r4), requirement 10.4: a positive ScaleY means that Y decreases as J increases;
#            the same on GTRasterTypeGeoKey: with PixelIsPoint a tie point is the middle of a pixel.
# Packages:  rasterix 0.2.4, virtual-tiff 0.5.0, virtualizarr 2.5.1, async-geotiff 0.5.1, obstore 0.12.1, obspec-utils
#            0.9.0, rioxarray 0.19.0, rasterio 1.4.4, xarray 2026.9.0, zarr 3.1.6, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'rasterix==0.2.4' 'virtual-tiff==0.5.0' \
    'virtualizarr==2.5.1' 'async-geotiff==0.5.1' 'obstore==0.12.1' 'obspec-utils==0.9.0' 'rioxarray==0.19.0' \
    'rasterio==1.4.4' 'xarray==2026.9.0' 'zarr==3.1.6' 'dask==2026.8.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python -W ignore - <<'PY'
import asyncio
from importlib.metadata import version
from pathlib import Path

import async_geotiff
import numpy as np
import rasterio
import rasterix
import rioxarray
import xarray
from obspec_utils.registry import ObjectStoreRegistry
from obstore.store import LocalStore
from virtual_tiff import VirtualTIFF

print("guess: pixel (row 20, column 10) has the same coordinates for everybody")
print(*(f"{name} {version(name)}" for name in ("rasterix", "virtual-tiff", "async-geotiff", "rioxarray", "rasterio")))
ROWS, COLUMNS, ROW, COLUMN = 48, 64, 20, 10
EAST, NORTH, SIZE = 500000, 4000000, 10
pixels = np.arange(ROWS * COLUMNS, dtype=np.uint16).reshape(ROWS, COLUMNS)
middle = EAST + (COLUMN + 0.5) * SIZE, NORTH - (ROW + 0.5) * SIZE


async def by_async_geotiff(path):
    transform = (await async_geotiff.GeoTIFF.open(path, store=LocalStore(Path.cwd()))).transform
    return tuple(transform * (COLUMN + 0.5, ROW + 0.5))


def with_rasterix(path):
    registry = ObjectStoreRegistry({"file://": LocalStore()})
    store = VirtualTIFF(ifd=0)(url=f"file://{Path.cwd() / path}", registry=registry)
    return rasterix.assign_index(xarray.open_zarr(store, consolidated=False, zarr_format=3)["0"])


for kind, shift in (("Area", 0), ("Point", SIZE / 2)):
    path = f"{kind}.tif"
    transform = rasterio.transform.from_origin(EAST, NORTH, SIZE, SIZE)
    with rasterio.open(path, "w", driver="GTiff", width=COLUMNS, height=ROWS, count=1, dtype="uint16", crs="EPSG:32633",
                       transform=transform, tiled=True, blockxsize=16, blockysize=16) as file:
        file.update_tags(AREA_OR_POINT=kind)
        file.write(pixels, 1)
    usual, lazy = rioxarray.open_rasterio(path)[0], with_rasterix(path)
    assert (lazy.values == pixels).all() and lazy.attrs["raster_type"] == (1 if kind == "Area" else 2)
    assert (float(usual.x[COLUMN]), float(usual.y[ROW])) == middle == asyncio.run(by_async_geotiff(path))
    got = float(lazy.x[COLUMN]), float(lazy.y[ROW])
    print(f"  PixelIs{kind}: rioxarray and async-geotiff {middle}, rasterix {got}")
    assert got == (middle[0] + shift, NORTH + (ROW + 0.5) * SIZE - shift)
    inside = int(lazy.sel(x=middle[0] + shift, y=middle[1], method="nearest"))
    assert int(usual.sel(x=middle[0], y=middle[1])) == pixels[ROW, COLUMN]
    print(f"    the pixel at that place is {pixels[ROW, COLUMN]}, for rasterix {inside}")
    assert inside != pixels[ROW, COLUMN]
    # A place 205 m north of the picture's upper edge, where there is nothing.
    beyond = int(lazy.sel(x=middle[0] + shift, y=2 * NORTH - middle[1] - shift, method="nearest"))
    assert beyond == pixels[ROW, COLUMN]
print("behaviour: the picture reaches from", NORTH, "to", float(lazy.y.max()), "in place of", float(usual.y.min()))
PY
