#!/usr/bin/env bash
# AVIF with a clean aperture or a rotation: Pillow, OpenCV, imagecodecs and PyAV show what was cropped away.
#
# Guess:     crop ("clap"), rotation ("irot") and mirror ("imir") of an AVIF are marked as essential in the file, so a
#            reader applies them or refuses; Pillow applies the other two (as an orientation), OpenCV turns JPEGs.
# Behaviour: of an 80x56 picture cropped out of 96x64, Pillow 13, OpenCV 5, imagecodecs and PyAV return all 96x64
#            pixels, border and all, without a word or a field that tells of the crop. libvips returns the 80x56.
#            Of a picture with a rotation OpenCV and imagecodecs return the unturned one and say nothing; PyAV does, too,
#            with frame.rotation beside it; Pillow and libvips hand on an orientation that exif_transpose and
#            autorot apply.
#            The decoders underneath (libavif) leave both to the caller, who has to ask for them.
# Matters:   a lossless crop (avifenc --crop, editors that do not recode) is undone by "open, upscale, save": sizes no
#            longer match, and what somebody cut off to hide it is published at four times the size.
# Standard:  HEIF (ISO/IEC 23008-12), 6.5.9 and 6.5.10: transformative properties are applied in order to give the
#            output image; MIAF (ISO/IEC 23000-22) and AVIF 1.1 require clap, irot and imir of readers, marked essential.
# Packages:  pillow 13.0.0, opencv-python-headless 5.0.0.93, imagecodecs 2026.3.6, av 18.1.0, pyvips 3.2.0 with
#            pyvips-binary 8.18.7, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'pillow==13.0.0' \
    'opencv-python-headless==5.0.0.93' 'imagecodecs==2026.3.6' 'av==18.1.0' 'pyvips==3.2.0' 'pyvips-binary==8.18.7' \
    'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import struct

import av
import cv2
import imagecodecs
import numpy as np
import PIL
import pyvips
from PIL import Image, ImageOps

print("guess: each reader gives the cropped, turned picture, or none")
print(f"Pillow {PIL.__version__}, OpenCV {cv2.__version__}, imagecodecs {imagecodecs.__version__}, PyAV {av.__version__}, "
      f"libvips {pyvips.version(0)}.{pyvips.version(1)}.{pyvips.version(2)}")

WIDTH, HEIGHT, BORDER = 96, 64, 8
scene = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
scene[:] = 255, 0, 0
scene[:BORDER] = scene[:, : 2 * BORDER] = 255
Image.fromarray(scene).save("whole.avif", quality=100, subsampling="4:4:4")
whole = open("whole.avif", "rb").read()


def children(data, start, stop):
    """(type, start, size) of the boxes in a stretch of the file."""
    while start < stop:
        size = struct.unpack_from(">I", data, start)[0]
        yield data[start + 4 : start + 8].decode(), start, size
        start += size


def with_properties(*properties):
    """The same file with further item properties, marked as essential, of its only item."""
    top = {name: (start, size) for name, start, size in children(whole, 0, len(whole))}
    meta, size = top["meta"]
    inside = {name: (start, length) for name, start, length in children(whole, meta + 12, meta + size)}
    iprp, iprp_size = inside["iprp"]
    (_, ipco, ipco_size), (_, ipma, ipma_size) = children(whole, iprp + 8, iprp + iprp_size)
    old = len(list(children(whole, ipco + 8, ipco + ipco_size)))
    links = bytearray(whole[ipma + 8 : ipma + ipma_size])
    assert struct.unpack_from(">I", links, 4)[0] == 1, "one item"
    links[10] += len(properties)
    links += bytes(0x80 | old + 1 + number for number in range(len(properties)))
    boxes = [whole[ipco + 8 : ipco + ipco_size] + b"".join(properties), bytes(links)]
    boxes = b"".join(struct.pack(">I4s", 8 + len(box), name) + box for name, box in zip((b"ipco", b"ipma"), boxes))
    grown = len(boxes) + 8 - iprp_size
    file = bytearray(whole[:iprp] + struct.pack(">I4s", 8 + len(boxes), b"iprp") + boxes + whole[iprp + iprp_size :])
    struct.pack_into(">I", file, meta, size + grown)
    iloc = inside["iloc"][0]
    assert whole[iloc + 8] == 0 and whole[iloc + 12 : iloc + 14] == b"\x44\x00" and iloc < iprp, "offsets of 4 bytes"
    offset = iloc + 8 + 4 + 2 + 2 + 2 + 2 + 2
    struct.pack_into(">I", file, offset, struct.unpack_from(">I", file, offset)[0] + grown)
    return bytes(file)


# The aperture leaves out the white border: its centre is half a border to the lower right of the picture's centre.
CROP = struct.pack(">I4s8I", 40, b"clap", WIDTH - 2 * BORDER, 1, HEIGHT - BORDER, 1, BORDER, 1, BORDER // 2, 1)
QUARTER = struct.pack(">I4sB", 9, b"irot", 1)


def by_pillow(path):
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def by_av(path):
    with av.open(path) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


READERS = {
    "libvips": lambda path: pyvips.Image.new_from_file(path).autorot().numpy(),
    "Pillow": by_pillow,
    "OpenCV": lambda path: cv2.imread(path)[..., ::-1],
    "imagecodecs": lambda path: imagecodecs.avif_decode(open(path, "rb").read()),
    "PyAV": by_av,
}
seen = {}
for what, properties in (("whole", ()), ("cropped", (CROP,)), ("turned", (QUARTER,))):
    open(f"{what}.avif", "wb").write(with_properties(*properties))
    for name, read in READERS.items():
        pixels = read(f"{what}.avif")
        white = (pixels.min(2) > 200).mean()
        seen[what, name] = pixels.shape[1], pixels.shape[0], "border" if white > 0.2 else "no border"
    print(f"  {what}:", {name: seen[what, name] for name in READERS})
for name in READERS:
    assert seen["whole", name] == (96, 64, "border"), name
    assert seen["cropped", name] == ((80, 56, "no border") if name == "libvips" else (96, 64, "border")), name
    assert seen["turned", name] == ((64, 96) if name in ("libvips", "Pillow") else (96, 64)) + ("border",), name
print("behaviour: only libvips crops; OpenCV, imagecodecs and PyAV do not turn either")
PY
