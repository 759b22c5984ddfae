"""Gray slices of 16 bits: written from what public packages ship, and models judged by them.

    pip download --no-deps --no-build-isolation --no-binary :all: -d packages pyradiomics==3.0.1
    pip download --no-deps -d packages pydicom-data==1.0.0 dipy==1.12.1
    python benchmarks/slices.py write packages/ slices/
    python benchmarks/slices.py judge slices/judge/ -m edsr -m CHECKPOINT

`write` makes PNGs of slices/train, slices/val and slices/judge: CT and MR volumes of pyradiomics,
CT, MR and radiographs of pydicom and pydicom-data, MR of dipy, each with its values stretched to
16 bits. Nothing of a volume that judges is trained on. `judge` prints Markdown: the mean PSNR of
x2, on all 16 bits, after MATLAB's bicubic and without two pixels at the edges.
"""

from __future__ import annotations

import argparse
import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.data import get_testdata_file

from sr_cli import upscale_image
from sr_cli.imaging.decode import read_picture
from sr_cli.imaging.resize import crop_to_multiple, downscale_bicubic

_VOLUMES = {"lung2": ("train", 1), "brain2": ("train", 1), "lung1": ("judge", 6),
            "brain1": ("judge", 3)}  # fmt: skip
"""Of pyradiomics: the folder, and how many slices to the next one that is used."""

_VALIDATED = ("lung2-10", "lung2-30", "brain2-11")
_IMAGES = {"RG1_UNCR": "train", "MR2_UNCR": "train", "693_UNCR": "judge", "RG3_UNCR": "judge"}
"""Of pydicom-data."""

_SMALL = ("CT_small", "MR_small")
"""Of pydicom."""

_SCALE = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    commands = parser.add_subparsers(dest="command", required=True)
    write = commands.add_parser("write")
    write.add_argument("packages", type=Path)
    write.add_argument("output", type=Path)
    judge = commands.add_parser("judge")
    judge.add_argument("folder", type=Path)
    judge.add_argument("-m", "--model", action="append", default=[])
    options = parser.parse_args()
    if options.command == "write":
        write_slices(options.packages, options.output)
    else:
        print_table(options.folder, ["bicubic", *options.model])


def write_slices(packages: Path, output: Path) -> None:
    """Write all slices as PNGs of 16 bits."""
    for name, (folder, step) in _VOLUMES.items():
        volume = stretched(read_nrrd(member(packages, "pyradiomics", f"{name}_image.nrrd")))
        for number in range(step // 2, len(volume), step):
            stem = f"{name}-{number:02}"
            save(output / ("val" if stem in _VALIDATED else folder), stem, volume[number])
    for name, folder in _IMAGES.items():
        data = io.BytesIO(member(packages, "pydicom_data", f"/{name}.dcm"))
        save(output / folder, name, stretched(pydicom.dcmread(data).pixel_array))
    for name in _SMALL:
        found = pydicom.dcmread(str(get_testdata_file(f"{name}.dcm")))
        save(output / "judge", name, stretched(found.pixel_array))
    head = np.load(io.BytesIO(member(packages, "dipy", "t1_coronal_slice.npy")))
    save(output / "judge", "t1_coronal", stretched(head))


def member(packages: Path, package: str, name: str) -> bytes:
    """A file of a package, from its archive."""
    for path in packages.glob(f"{package}-*"):
        if not path.is_file():
            continue
        if path.suffix == ".whl":
            with zipfile.ZipFile(path) as wheel:
                return wheel.read(next(n for n in wheel.namelist() if n.endswith(name)))
        with tarfile.open(path) as source:
            file = source.extractfile(next(n for n in source.getnames() if n.endswith(name)))
            assert file is not None
            return file.read()
    raise SystemExit(f"{packages}: no archive of {package}")


def read_nrrd(data: bytes) -> NDArray[np.int16]:
    """A volume (slices, h, w) of 16-bit integers, little endian, in gzip (NRRD0004)."""
    header, _, content = data.partition(b"\n\n")
    sizes = next(line for line in header.splitlines() if line.startswith(b"sizes:"))
    shape = [int(n) for n in sizes.split()[1:]]
    return np.frombuffer(gzip.decompress(content), "<i2").reshape(shape[::-1])


def stretched(values: NDArray[Any]) -> NDArray[np.uint16]:
    """The least value as 0, the largest as 65,535."""
    low, high = float(values.min()), float(values.max())
    return np.round((values.astype(np.float64) - low) / (high - low) * 65535).astype(np.uint16)


def save(folder: Path, stem: str, pixels: NDArray[np.uint16]) -> None:
    """Write a PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / f"{stem}.png"), pixels)


def print_table(folder: Path, models: list[str]) -> None:
    """Print the mean PSNR of each volume and image, and of these means."""
    found: dict[str, dict[str, list[float]]] = {}
    for path in sorted(folder.iterdir()):
        hr = crop_to_multiple(read_picture(path).frames[0].pixels, _SCALE)
        lr = downscale_bicubic(hr, _SCALE)
        for model in models:
            sr = upscale_image(lr, model=model, scale=_SCALE, precision="fp32", tile=0)
            group = found.setdefault(path.stem.split("-")[0], {})
            group.setdefault(model, []).append(psnr(sr, hr))
    print("| slices | " + " | ".join(Path(m).stem for m in models) + " |")
    print("| --- |" + " --- |" * len(models))
    means = {name: [float(np.mean(rows[m])) for m in models] for name, rows in found.items()}
    means["mean"] = [float(n) for n in np.mean(list(means.values()), axis=0)]
    for name, row in means.items():
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in row) + " |")


def psnr(sr: NDArray[Any], hr: NDArray[Any]) -> float:
    """PSNR in dB on 16 bits, without the edges."""
    error = (sr.astype(np.float64) - hr)[_SCALE:-_SCALE, _SCALE:-_SCALE]
    return float(20 * np.log10(65535 / np.sqrt((error**2).mean())))


if __name__ == "__main__":
    main()
