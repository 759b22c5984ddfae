#!/usr/bin/env bash
# bioio: an OME-TIFF of 250 nm a pixel becomes one of 250 micrometres by being read and saved.
#
# Guess:     BioImage(path).save(path) keeps the physical size of a pixel: its reader knows the unit (OME-XML states it
#            beside each number), its writer writes OME-XML.
# Behaviour: physical_pixel_sizes is the bare numbers of the file, and save, as OmeTiffWriter given these sizes, writes
#            them without a unit. Without one, OME means micrometres: 250 nm became 250 um. Sizes in mixed units
#            (1 um from slice to slice, 250 nm across, as some microscopes write) are wrong in ratio as well: voxels
#            four times as high as wide are now 250 times as wide as high. dimension_properties, made for
#            units, says None. bioio-conversion makes OME-Zarr of it with the bare numbers as scale and no unit on
#            its axes: 250 of something, and with mixed units wrong whatever it is. bioio-tifffile, the sibling for
#            other TIFFs, converts (ImageJ's mm, centimetres of plain TIFFs) to micrometres.
# Matters:   scale bars, resampling to equal spacing before or after enlarging, areas and volumes: a factor of 1000, a
#            million, a thousand million. Files in um, the common case, survive.
# Standard:  OME-XML 2016-06, Pixels: PhysicalSizeXUnit, PhysicalSizeYUnit and PhysicalSizeZUnit default to um.
#            bioio says that it attaches no unit to the sizes it returns; not that it stores them in another one.
# Packages:  bioio 3.6.0, bioio-ome-tiff 1.4.0, bioio-tifffile 1.3.1, bioio-conversion 3.0.0 (bioio-ome-zarr 3.8.1),
#            tifffile 2026.3.3, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'bioio==3.6.0' 'bioio-ome-tiff==1.4.0' \
    'bioio-tifffile==1.3.1' 'bioio-conversion==3.0.0' 'bioio-ome-zarr==3.8.1' 'tifffile==2026.3.3' 'numpy==2.4.6'
cd "$work"
venv/bin/python -W ignore - <<'PY'
import json
import xml.etree.ElementTree as ElementTree
from importlib.metadata import version
from pathlib import Path

import bioio_ome_tiff
import bioio_tifffile
import numpy as np
import tifffile
from bioio import BioImage
from bioio_conversion.converters import OmeZarrConverter

print("guess: the size of a pixel is the same before and after")
print(*(f"{name} {version(name)}" for name in ("bioio", "bioio-ome-tiff", "bioio-tifffile", "bioio-conversion")))
MICROMETRES = {"nm": 1e-3, "µm": 1, "mm": 1e3}
volume = np.zeros((1, 4, 32, 32), np.uint16)


def sizes(path):
    """The sizes along Z, Y and X in micrometres, by the words of the OME schema."""
    with tifffile.TiffFile(path) as file:
        pixels = next(e for e in ElementTree.fromstring(file.ome_metadata).iter() if e.tag.endswith("}Pixels"))
    return [float(pixels.get(f"PhysicalSize{axis}")) * MICROMETRES[pixels.get(f"PhysicalSize{axis}Unit", "µm")]
            for axis in "ZYX"]


results = {}
for z_unit, z, unit, across in (("µm", 1, "µm", 0.25), ("nm", 1000, "nm", 250), ("µm", 1, "nm", 250)):
    tifffile.imwrite("given.ome.tif", volume, metadata={
        "axes": "CZYX", "PhysicalSizeZ": z, "PhysicalSizeZUnit": z_unit, "PhysicalSizeY": across, "PhysicalSizeX": across,
        "PhysicalSizeYUnit": unit, "PhysicalSizeXUnit": unit})
    assert np.allclose(sizes("given.ome.tif"), (1, 0.25, 0.25)), "the same volume, in three ways"
    image = BioImage("given.ome.tif", reader=bioio_ome_tiff.Reader)
    assert image.dimension_properties.X.unit is None
    image.save("saved.ome.tif")
    results[z_unit, unit] = sizes("saved.ome.tif")
    print(f"  Z in {z_unit}, Y and X in {unit}: 1, 0.25, 0.25 um given; saved as {results[z_unit, unit]} um")
assert results == {("µm", "µm"): [1, 0.25, 0.25], ("nm", "nm"): [1000, 250, 250], ("µm", "nm"): [1, 250, 250]}

OmeZarrConverter(source="given.ome.tif", destination="zarr").convert()
(root,) = Path("zarr").glob("*/zarr.json")
multiscale = json.loads(root.read_text())["attributes"]["ome"]["multiscales"][0]
scale = multiscale["datasets"][0]["coordinateTransformations"][0]["scale"][-3:]
units = {axis["name"]: axis.get("unit") for axis in multiscale["axes"]}
print(f"  as OME-Zarr (Z in um, Y and X in nm): scale {scale}, units {units}")
assert scale == [1, 250, 250] and set(units.values()) == {None}

tifffile.imwrite("imagej.tif", volume[0], imagej=True, resolution=(4000, 4000),
                 metadata={"spacing": 0.001, "unit": "mm", "axes": "ZYX"})
sibling = BioImage("imagej.tif", reader=bioio_tifffile.Reader).physical_pixel_sizes
print("behaviour: the unit is dropped by bioio-ome-tiff; bioio-tifffile makes um of mm:", sibling)
assert np.allclose(sibling, (1, 0.25, 0.25))
PY
