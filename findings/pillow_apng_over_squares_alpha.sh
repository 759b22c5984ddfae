#!/usr/bin/env bash
# Pillow 13.0.0 reading animated PNG: a half-transparent frame laid over nothing becomes a quarter transparent and dark.
#
# Guess:     APNG's blend operation OVER is the usual alpha compositing, the one that Pillow has as
#            Image.alpha_composite: over a transparent canvas a frame comes out as it is stored, and two
#            layers of alpha 128 make one of 192.
# Behaviour: the frame is pasted with itself as mask, which mixes the alphas, too: over nothing, alpha 128 becomes
#            64 and the colour is halved (it is mixed with the black of the empty canvas); two layers make 96.
#            Opaque and fully transparent pixels are right, so that most animations show nothing.
#            OpenCV 5 and FFmpeg give the frames as they were. Pillow's own files with blend OVER and disposal
#            BACKGROUND (stickers) are right and are read wrong by Pillow alone; FFmpeg's encoder picks OVER by
#            itself where it saves bytes, so that some frames of an animation are damaged, others not.
# Matters:   soft edges, shadows and glass of stickers turn thin and dark before any upscaler sees them; which
#            frames do depends on the encoder.
# Standard:  PNG third edition, 11.3.6.2 (fcTL): APNG_BLEND_OP_OVER composites by a simple OVER operation as in
#            "Alpha channel processing" (13.16 there).
# Packages:  pillow 13.0.0, opencv-python-headless 5.0.0.93, av 18.1.0, numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'pillow==13.0.0' \
    'opencv-python-headless==5.0.0.93' 'av==18.1.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import av
import cv2
import numpy as np
import PIL
from PIL import Image
from PIL.PngImagePlugin import Blend, Disposal

print("guess: every reader gives the frames that were written")
print(f"Pillow {PIL.__version__}, OpenCV {cv2.__version__}, PyAV {av.__version__}")


def with_pillow(path):
    with Image.open(path) as image:
        for number in range(image.n_frames):
            image.seek(number)
            yield np.asarray(image.convert("RGBA"))


def with_opencv(path):
    return [cv2.cvtColor(frame, cv2.COLOR_BGRA2RGBA) for frame in cv2.imreadanimation(path)[1].frames]


def with_av(path):
    with av.open(path) as container:
        return [frame.to_ndarray(format="rgba") for frame in container.decode(video=0)]


def differences(read, path, frames):
    return [int(abs(got.astype(int) - frame).max()) for got, frame in zip(read(path), frames, strict=True)]


# A sticker: a half-transparent disc that moves over nothing, written by Pillow.
y, x = np.mgrid[:48, :48]
sticker = []
for step in range(4):
    frame = np.zeros((48, 48, 4), np.uint8)
    frame[(x - 12 - 8 * step) ** 2 + (y - 24) ** 2 < 100] = 255, 200, 0, 128
    sticker.append(frame)
first, *rest = map(Image.fromarray, sticker)
first.save("sticker.png", save_all=True, append_images=rest, blend=Blend.OP_OVER, disposal=Disposal.OP_BACKGROUND)

# Glass that comes beside an opaque picture, written by FFmpeg, which chooses how each frame is stored.
picture = np.zeros((48, 48, 4), np.uint8)
picture[12:36, 12:36] = np.random.default_rng(0).integers(0, 256, (24, 24, 4))
picture[12:36, 12:36, 3] = 255
glass = [picture]
for step in range(3):
    frame = glass[-1].copy()
    for top in (2, 38):
        frame[top : top + 8, 2 + 12 * step : 10 + 12 * step] = 255, 200, 0, 128
    glass.append(frame)
with av.open("glass.apng", "w") as container:
    stream = container.add_stream("apng", rate=10)
    stream.width = stream.height = 48
    stream.pix_fmt = "rgba"
    for frame in glass:
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgba")))
    container.mux(stream.encode())

for path, frames in (("sticker.png", sticker), ("glass.apng", glass)):
    for read in (with_opencv, with_av):
        assert differences(read, path, frames) == [0, 0, 0, 0], (path, read)
    print(f"  {path}: OpenCV and PyAV exact; Pillow off by {differences(with_pillow, path, frames)} levels")
assert differences(with_pillow, "sticker.png", sticker) == [0, 127, 127, 127]
assert differences(with_pillow, "glass.apng", glass) == [0, 0, 127, 127]
pixel = list(with_pillow("sticker.png"))[1][24, 20]
print("behaviour: of", sticker[1][24, 20], "Pillow makes", pixel)
assert pixel.tolist() == [128, 100, 0, 64]

# Two layers of alpha 128, as Pillow itself composes them elsewhere.
layer = Image.new("RGBA", (4, 4), (255, 255, 255, 128))
Image.new("RGBA", (4, 4)).save(
    "layers.png", save_all=True, append_images=[layer, Image.new("RGBA", (4, 4), (255, 255, 254, 128))],
    blend=Blend.OP_OVER, default_image=False)
got = list(with_pillow("layers.png"))[2][0, 0, 3], with_opencv("layers.png")[2][0, 0, 3]
whole = Image.alpha_composite(layer, layer).getpixel((0, 0))[3]
print("two layers of alpha 128: Pillow", got[0], "OpenCV", got[1], "Image.alpha_composite", whole)
assert got[0] == 96 and 191 <= got[1] <= 192 and 191 <= whole <= 192
PY
