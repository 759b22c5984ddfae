#!/usr/bin/env bash
# FFmpeg 8 and 9: each tiled TIFF is a black frame, without an error, a warning or an exit code.
#
# Guess:     a TIFF in tiles (GeoTIFF, pyramids, OME-TIFF, large scans) is decoded, or refused as not implemented.
# Behaviour: the frame has the right size and format, and every sample is 0; with any tile size, one tile for the whole
#            picture included, with or without compression, at 8 and 16 bits and in float, in gray, RGB and RGBA. PyAV
#            returns it as sound (is_corrupt is False, nothing in the log), so does imageio through it; OpenCV's
#            VideoCapture says True; the command line prints no error and exits with 0. The very same pixels in strips
#            are right. (The decoder knows tiles inside DNG, and lets those of other files be.)
# Matters:   image sequences of renderers and scanners go to video, or to an upscaler, through FFmpeg; rendering programs
#            write tiles so that they can be read in parts. Black pairs train a network to paint black.
# Standard:  TIFF 6.0, section 15: with TileWidth (322) and TileOffsets (324) a file has no StripOffsets; readers of the
#            extension are to use them, others to refuse.
# Packages:  av 18.1.0 (its FFmpeg 8.1.2), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2), opencv-python-headless 5.0.0.93, imageio
#            2.38.1, pillow 13.0.0 (reads right), tifffile 2026.3.3 (writes), numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'av==18.1.0' 'imageio-ffmpeg==0.8.1' \
    'opencv-python-headless==5.0.0.93' 'imageio==2.38.1' 'pillow==13.0.0' 'tifffile==2026.3.3' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import itertools
import subprocess

import av
import cv2
import imageio.v3 as iio
import imageio_ffmpeg
import numpy as np
import tifffile
from PIL import Image

print("guess: the picture, or an error")
print(f"PyAV {av.__version__}, FFmpeg {imageio_ffmpeg.get_ffmpeg_version()}, OpenCV {cv2.__version__}, "
      f"tifffile {tifffile.__version__}")
SIZE = 64
noise = np.random.default_rng(0).integers(1, 256, (SIZE, SIZE, 4), dtype=np.uint8)
av.logging.set_level(av.logging.WARNING)


def by_av(path):
    with av.logging.Capture() as messages, av.open(path) as container:
        frame = next(container.decode(video=0))
    assert not messages and not frame.is_corrupt
    return frame.to_ndarray()


def by_command(path):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "warning", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert not done.stderr
    return np.frombuffer(done.stdout, np.uint8)


counts = {"strips": [], "tiles": []}
kinds = itertools.product((np.uint8, np.uint16, np.float32), (1, 3, 4), (None, "zlib"), (None, 16, 32, SIZE))
for kind, channels, compression, tile in kinds:
    pixels = noise[..., :channels].astype(kind) * {np.uint8: 1, np.uint16: 257, np.float32: np.float32(1 / 255)}[kind]
    pixels = pixels.astype(kind)[..., 0] if channels == 1 else pixels.astype(kind)
    tifffile.imwrite("picture.tif", pixels, photometric="minisblack" if channels == 1 else "rgb", compression=compression,
                     tile=tile and (tile, tile), extrasamples=["unassalpha"] if channels == 4 else None)
    assert (tifffile.imread("picture.tif") == pixels).all()
    try:
        got = by_av("picture.tif")
    except av.error.FFmpegError:
        continue
    assert got.shape == pixels.shape
    counts["tiles" if tile else "strips"].append("right" if (got == pixels).all() else "other" if got.any() else "black")
print("  by PyAV:", {layout: {word: found.count(word) for word in set(found)} for layout, found in counts.items()})
assert len(counts["strips"]) >= 12 and set(counts["strips"]) == {"right"}
assert len(counts["tiles"]) >= 36 and set(counts["tiles"]) == {"black"}

for tile in (None, (16, 16)):
    tifffile.imwrite("picture.tif", noise[..., :3], photometric="rgb", tile=tile)
    good, frame = cv2.VideoCapture("picture.tif").read()
    with Image.open("picture.tif") as image:
        assert (np.asarray(image) == noise[..., :3]).all(), "Pillow reads both"
    brightest = [int(values.max()) for values in
                 (by_command("picture.tif"), frame, iio.imread("picture.tif", plugin="pyav"))]
    print(f"  {'tiles' if tile else 'strips'}: largest sample by the command line, OpenCV ({good}), imageio {brightest}")
    assert good and brightest == ([0, 0, 0] if tile else [255, 255, 255])
print("behaviour: black, and no word of it")
PY
