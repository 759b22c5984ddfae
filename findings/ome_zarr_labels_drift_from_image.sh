#!/usr/bin/env bash
# OME-Zarr written by ome-zarr with its defaults: labels drift away from the image, level by level.
#
# Guess:     write_image and write_labels of one array shape write pyramids of the same sizes and the same
#            coordinateTransformations, so at every level label and image lie over each other.
# Behaviour: sizes and transformations are equal, the content is not. The image's levels are resized
#            around pixel centres and lie exactly where their translation says (0.5, 1.5, 3.5, 7.5 pixels).
#            The labels are thinned by "nearest", level by level, taking the last pixel of each pair every
#            time, and carry the same translation all the same: the content of level k lies
#            (2^k - 1) / 2 pixels away from where the file says, 7.5 pixels at the default fourth level.
#            A disc of 160 pixels has its centre at 127.5 in the image at every level, in the
#            labels at 127.1, 126.2, 124.7 and 122.3.
# Matters:   masks over reduced levels (training pairs, crops by label, overviews, x2/x4 ground truth) are
#            up to half a coarse pixel off, in one direction, and the metadata says they are not.
# Standard:  OME-NGFF 0.5, "multiscales" metadata: each level's scale and translation map its pixel
#            indices to the common physical space; they are what aligns levels and labels.
# Packages:  ome-zarr 0.18.0, zarr 3.1.6, dask 2026.8.0, scikit-image 0.26.0, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'ome-zarr==0.18.0' 'zarr==3.1.6' \
    'dask==2026.8.0' 'scikit-image==0.26.0' 'scipy==1.17.1' 'numpy==2.4.6'
cd "$work"
venv/bin/python -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import zarr
from ome_zarr.writer import write_image, write_labels

print("guess: label and image agree in place at every level")
print(f"ome-zarr {version('ome-zarr')}, zarr {zarr.__version__}, numpy {np.__version__}")

SIZE = 256
y, x = np.mgrid[0:SIZE, 0:SIZE]
disc = (x - 127.5) ** 2 + (y - 127.5) ** 2 <= 80**2
group = zarr.open_group("disc.zarr", mode="w")
write_image(disc.astype(np.float32) * 1000, group, axes="yx")
write_labels(disc.astype(np.uint16), group, "cells", axes="yx")
columns = zarr.open_group("columns.zarr", mode="w")
write_labels(np.repeat(np.arange(SIZE, dtype=np.uint16)[None], SIZE, 0), columns, "columns", axes="yx")


def levels(group):
    """(scale, translation, pixels) of each level, along x."""
    for dataset in group.attrs["ome"]["multiscales"][0]["datasets"]:
        steps = {t["type"]: t[t["type"]][-1] for t in dataset["coordinateTransformations"]}
        yield steps["scale"], steps["translation"], np.asarray(group[dataset["path"]][:], float)


image, labels = list(levels(group)), list(levels(group["labels/cells"]))
numbered = list(levels(columns["labels/columns"]))
expected = (127.5, 127.076, 126.217, 124.668, 122.273)
assert len(image) == len(labels) == 5
for level, (a, b, c) in enumerate(zip(image, labels, numbered, strict=True)):
    assert a[:2] == b[:2] == c[:2] == (2**level, (2**level - 1) / 2), "the same claims"
    centres = [(p.sum(0) * (np.arange(p.shape[1]) * s + t)).sum() / p.sum() for s, t, p in (a, b)]
    # A column's label is the place it was taken from.
    away = c[2][0] - (np.arange(c[2].shape[1]) * c[0] + c[1])
    print(f"  level {level}: centre of the disc {centres[0]:.1f} in the image, {centres[1]:.1f} in the labels; "
          f"labels taken {away.mean():+.1f} px from where they are said to be")
    assert abs(centres[0] - 127.5) < 0.01 and abs(centres[1] - expected[level]) < 0.01
    assert (away == (2**level - 1) / 2).all()
print("behaviour: 7.5 pixels between what the fourth level of the labels says and where it is from")
PY
