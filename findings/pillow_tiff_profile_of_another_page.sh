#!/usr/bin/env bash
# Pillow 13.0.0 and TIFF files with several pages: a page without a profile reports that of an earlier page.
#
# Guess:     Each page of a TIFF is an image of its own (TIFF 6.0, section 2). After seek(1), `info` describes
#            page 1: a gray page without ICC profile and resolution has no "icc_profile" and no "dpi" there.
# Behaviour: `info` still has the profile and the dpi of page 0. Saving the gray page as PNG embeds the RGB
#            profile of the other page, which the PNG specification forbids for gray (third edition,
#            11.3.2.3, iCCP), and littleCMS refuses to apply it to the pixels.
#            The order of the pages matters: with the gray page first, all is right.
# Matters:   "for each page: save as PNG with its info" recolours pages or makes files that viewers ignore the
#            profile of. The tags of the page itself (`tag_v2.get(34675)`) are right.
# Packages:  pillow 13.0.0, tifffile 2026.3.3, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pillow==13.0.0' 'tifffile==2026.3.3' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import io

import numpy as np
import PIL
import tifffile
from PIL import Image, ImageCms

print("guess: a page without profile and resolution reports neither")
print(f"Pillow {PIL.__version__}")

profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
colour = np.full((8, 8, 3), (200, 120, 60), np.uint8)
gray = np.full((8, 8), 100, np.uint8)
tag = (34675, 7, len(profile), profile, True)


def write(name, order):
    with tifffile.TiffWriter(name) as writer:
        for page in order:
            if page == "colour":
                writer.write(colour, photometric="rgb", extratags=[tag], resolution=(300, 300), metadata=None)
            else:
                writer.write(gray, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(name) as file:
        print(f"{name}: pages with tag 34675 (profile): {[34675 in page.tags for page in file.pages]}")


write("colour_first.tif", ("colour", "gray"))
write("gray_first.tif", ("gray", "colour"))

found = {}
for name, number in (("colour_first.tif", 1), ("gray_first.tif", 0)):
    with Image.open(name) as image:
        image.seek(number)
        has_tag = 34675 in image.tag_v2
        found[name] = "icc_profile" in image.info
        print(f"{name}, the gray page ({image.mode}): tag {has_tag}, info {sorted(set(image.info) & {'icc_profile', 'dpi'})}")
        image.save(f"{name}.png")
with Image.open("colour_first.tif.png") as made:
    embedded = made.info.get("icc_profile", b"")
    print(f"PNG saved from that page: mode {made.mode}, profile for {embedded[16:20]!r}")
    try:
        ImageCms.profileToProfile(made, io.BytesIO(embedded), ImageCms.createProfile("sRGB"), outputMode="RGB")
        print("littleCMS applies it")
        refused = False
    except ImageCms.PyCMSError as error:
        print(f"littleCMS: {error}")
        refused = True
assert found == {"colour_first.tif": True, "gray_first.tif": False}, "Pillow now reports each page's own profile"
assert embedded[16:20] == b"RGB " and refused, "the saved page no longer has another page's profile"
print("behaviour: as described above")
PY
