#!/usr/bin/env bash
# Lossy animated WebP: frames that differ a little from the one before are dropped, even at quality 100.
#
# Guess:     a lossy animation has as many frames as were given, each a bit damaged; quality 100 surely has them
#            all. Encoders merge frames that are *equal*, which changes nothing.
# Behaviour: libwebp's animation encoder merges frames that are *similar*: up to about 1 level at quality 100,
#            2 at 92, 3 at 90, 4 and more at 75. A fade by one level a frame has 20 frames before and 7 at quality
#            92, 5 at 90, 4 at 80, 10 at 100; durations are added up, so the total time is right, and the fade
#            moves in visible steps. Pillow's kmin, kmax, minimize_size, allow_mixed and method do not change it,
#            only lossless=True does. OpenCV 5 (quality 90) and libvips (Q 75) do the same.
# Matters:   "frames in = frames out" fails after upscaling fades, skies, breathing line art, soft glows, which
#            upscalers make smoother still; frame numbers no longer match subtitles, masks or the source.
# Standard:  RFC 9649 (WebP) lets a frame last up to 2^24 ms and knows no similarity: it is the encoder's choice.
# Packages:  pillow 13.0.0 (libwebp 1.6.0), opencv-python-headless 5.0.0.93, pyvips 3.2.0 with pyvips-binary
#            8.18.7, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pillow==13.0.0' \
    'opencv-python-headless==5.0.0.93' 'pyvips==3.2.0' 'pyvips-binary==8.18.7' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import io

import cv2
import numpy as np
import PIL
import pyvips
from PIL import Image, features

print("guess: 20 different frames are 20 frames, however lossy; at quality 100 in any case")
print(f"Pillow {PIL.__version__} (libwebp {features.version('webp')}), OpenCV {cv2.__version__}, "
      f"libvips {'.'.join(str(pyvips.version(i)) for i in range(3))}")

y, x = np.mgrid[0:64, 0:96]
picture = np.stack([40 + x, 60 + y, 80 + x // 2 + y // 2], -1)


def fade(step):
    return [np.clip(picture + step * index, 0, 255).astype(np.uint8) for index in range(20)]


def frames_of(data):
    image = Image.open(io.BytesIO(data))
    times = []
    for index in range(image.n_frames):
        image.seek(index)
        image.load()
        times.append(image.info["duration"])
    assert sum(times) == 800, "the whole keeps its length"
    return len(times)


def by_pillow(frames, **options):
    images = [Image.fromarray(frame) for frame in frames]
    stream = io.BytesIO()
    images[0].save(stream, "WEBP", save_all=True, append_images=images[1:], duration=40, loop=0, **options)
    return frames_of(stream.getvalue())


for step in (1, 2, 3, 8):
    counts = {quality: by_pillow(fade(step), quality=quality) for quality in (75, 80, 90, 92, 100)}
    print(f"  fade by {step} level(s) a frame, 20 frames: " + ", ".join(f"{n} at quality {q}" for q, n in counts.items()))
    if step == 1:
        assert counts[80] <= 5 and counts[90] <= 7 and counts[92] <= 10 and counts[100] == 10
    if step == 8:
        assert set(counts.values()) == {20}
usual = by_pillow(fade(1), quality=92)
for options in ({"kmin": 0, "kmax": 1}, {"kmin": 0, "kmax": 0}, {"minimize_size": True}, {"allow_mixed": True}, {"method": 6}):
    count = by_pillow(fade(1), quality=92, **options)
    print(f"  quality 92, {options}: {count} of 20")
    assert count < 20
assert by_pillow(fade(1), lossless=True) == 20
print("  lossless: 20 of 20")

animation = cv2.Animation()
animation.frames = [frame[..., ::-1].copy() for frame in fade(1)]
animation.durations = [40] * 20
cv2.imwriteanimation("opencv.webp", animation, [cv2.IMWRITE_WEBP_QUALITY, 90])
with open("opencv.webp", "rb") as file:
    count = frames_of(file.read())
print(f"  OpenCV, quality 90: {count} of 20")
assert count < 10
strip = pyvips.Image.arrayjoin([pyvips.Image.new_from_array(frame) for frame in fade(1)], across=1).copy()
strip.set_type(pyvips.GValue.gint_type, "page-height", 64)
strip.set_type(pyvips.GValue.array_int_type, "delay", [40] * 20)
count = frames_of(strip.webpsave_buffer(Q=75))
print(f"  libvips, Q 75: {count} of 20")
assert count < 10
print(f"behaviour: {usual} of 20 frames are left at quality 92, and 10 at quality 100")
PY
