#!/usr/bin/env bash
# ExifTool 13.59 and Ultra HDR motion photos: -GainMapImage extracts the video.
#
# Guess:     `exiftool -b -GainMapImage photo.jpg` writes the gain map, a JPEG, whatever else the file holds.
# Behaviour: without a video it does. In a motion photo, whose XMP directory lists Primary, GainMap and MotionPhoto,
#            GainMapImage has the bytes and the length of the video, and MotionPhotoVideo has them too. The
#            listing shows both with the size of the video, without a warning. MPImage2, the same part by
#            way of the multi-picture index, is the right one. With two images (GainMap, Depth), both are
#            the last one: every part of the directory gets the content of the last part that is read.
# Matters:   scripts that take a photo apart to scale or edit the gain map and put it together again store
#            the video as gain map; phones write such photos.
# Standard:  Ultra HDR image format 1.1, "Item element", and Motion Photo format 1.0: each part lies at the sum
#            of the lengths before it; the gain map comes before the video.
# Packages:  exiftool-vendored.pl 13.59.3 of npm (ExifTool 13.59), pillow 13.0.0; Perl 5, npm, Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pillow==13.0.0'
cd "$work"
npm pack --silent 'exiftool-vendored.pl@13.59.3' > /dev/null
tar xzf exiftool-vendored.pl-13.59.3.tgz
venv/bin/python - <<'PY'
import io
import json
import subprocess

from PIL import Image

EXIFTOOL = ["perl", "package/bin/exiftool"]


def run(*arguments):
    return subprocess.run([*EXIFTOOL, *arguments], capture_output=True, check=True).stdout


print("guess: -GainMapImage of a motion photo is its gain map")
print(f"ExifTool {run('-ver').decode().strip()}")


def jpeg(shade, xmp=b"", size=(64, 48)):
    file = io.BytesIO()
    Image.new("L", size, shade).save(file, "JPEG", **({"xmp": xmp} if xmp else {}))
    return file.getvalue()


def box(kind, content):
    return (len(content) + 8).to_bytes(4, "big") + kind + content


def photo(*parts):
    items = "".join(
        f'<rdf:li rdf:parseType="Resource"><Container:Item Item:Semantic="{semantic}" Item:Mime="{mime}" '
        f'Item:Length="{len(data)}"/></rdf:li>'
        for semantic, mime, data in [("Primary", "image/jpeg", b""), *parts]
    )
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:Container="http://ns.google.com/photos/1.0/container/" '
        'xmlns:Item="http://ns.google.com/photos/1.0/container/item/" xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
        'xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0" GCamera:MotionPhoto="1" '
        f'GCamera:MotionPhotoVersion="1"><Container:Directory><rdf:Seq>{items}</rdf:Seq></Container:Directory>'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()
    return jpeg(90, xmp, (256, 192)) + b"".join(data for _, _, data in parts)


gain = "GainMap", "image/jpeg", jpeg(200)
depth = "Depth", "image/jpeg", jpeg(10, size=(32, 24))
video = "MotionPhoto", "video/mp4", box(b"ftyp", b"mp42\0\0\0\0mp42isom") + box(b"moov", bytes(60)) + box(b"mdat", bytes(999))
names = {"GainMap": "GainMapImage", "Depth": "DepthMapImage", "MotionPhoto": "MotionPhotoVideo"}

for parts in ((gain,), (gain, video), (gain, depth)):
    with open("photo.jpg", "wb") as file:
        file.write(photo(*parts))
    warnings = json.loads(run("-j", "-warning", "-error", "photo.jpg"))[0].keys() & {"Warning", "Error"}
    print(f"  photo with {', '.join(f'{semantic} of {len(data)} bytes' for semantic, _, data in parts)}; warnings: {len(warnings)}")
    for semantic, _, data in parts:
        found = run("-b", f"-{names[semantic]}", "photo.jpg")
        print(f"    {names[semantic]}: {len(found)} bytes, the {semantic}: {found == data}; the last part: {found == parts[-1][2]}")
        assert found == parts[-1][2]
    assert not warnings
assert parts[0][2] != parts[-1][2]
print("behaviour: it is the video, or whatever comes last in the directory")
PY
