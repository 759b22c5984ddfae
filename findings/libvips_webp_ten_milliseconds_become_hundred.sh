#!/usr/bin/env bash
# libvips rewriting an animated WebP: frames of 10 ms or less are stored with 100 ms, those of 11 ms stay.
#
# Guess:     WebP counts in milliseconds and libvips reads them right ("delay" is 5, 10, 11 ...), so load and save
#            keep each frame's time. If short times were mended as browsers do, then in GIF, too.
# Behaviour: webpsave turns 5 and 10 ms into 100 ms, and leaves 11 ms at 11. No option turns it off. The picture
#            in memory still says 10. gifsave of the same picture stores 10 ms as 10 (and 5 as 0).
# Matters:   a 100 frames a second animation, enlarged and saved as WebP, runs ten times as long; a mixture loses
#            its rhythm, because only some of its frames are stretched. Recordings at 90 frames a
#            second (11 ms) pass, at 100 they do not.
# Standard:  WebP container specification (RFC 9649, 2.7.1.1, ANMF): the frame duration is in units of 1 ms; the
#            reading of 0, and often of up to 10, is left to the *reader*, so the value is to be stored.
# Packages:  pyvips 3.2.0 with pyvips-binary 8.18.7, pillow 13.0.0, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pyvips==3.2.0' 'pyvips-binary==8.18.7' \
    'pillow==13.0.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import PIL
import pyvips
from PIL import Image

pyvips.cache_set_max(0)
print("guess: an animated WebP keeps its frames' times through load, resize and save")
print(f"libvips {'.'.join(str(pyvips.version(i)) for i in range(3))}, Pillow {PIL.__version__}")


def written(name, durations):
    frames = [Image.fromarray(np.full((32, 48, 3), 120 * (i % 2) + 2 * i, np.uint8)) for i in range(len(durations))]
    frames[0].save(name, save_all=True, append_images=frames[1:], duration=durations, loop=0, lossless=True)
    assert read(name) == durations


def read(name):
    image = Image.open(name)
    found = []
    for index in range(image.n_frames):
        image.seek(index)
        image.load()
        found.append(image.info["duration"])
    return found


mixed = [5, 10, 11, 12, 20, 33]
written("mixed.webp", mixed)
picture = pyvips.Image.new_from_file("mixed.webp", n=-1)
assert picture.get("delay") == mixed
for options in ({}, {"lossless": True}, {"min_size": True}):
    picture.webpsave("again.webp", **options)
    print(f"  {mixed} ms, webpsave {options}: {read('again.webp')}")
    assert read("again.webp") == [100, 100, *mixed[2:]]
picture.gifsave("again.gif")
print(f"  gifsave: {read('again.gif')}")
assert read("again.gif")[1] == 10

written("fast.webp", [10] * 50)
fast = pyvips.Image.new_from_file("fast.webp", n=-1)
fast.webpsave("slow.webp", lossless=True)
before, after = sum(read("fast.webp")), sum(read("slow.webp"))
print(f"behaviour: half a second of 50 frames ({before} ms) lasts {after} ms after load and save")
assert (before, after) == (500, 5000)
PY
