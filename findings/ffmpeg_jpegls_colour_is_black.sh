#!/usr/bin/env bash
# FFmpeg (PyAV) and JPEG-LS in colour: what CharLS writes (imagecodecs, DICOM tools) is a black frame, not an error.
#
# Guess:     FFmpeg knows JPEG-LS. A kind of it that it lacks raises an error, as PyAV does for codings that FFmpeg does
#            not implement (PatchWelcomeError).
# Behaviour: with the samples of a pixel interleaved (the mode that imagecodecs writes for RGB) the decoder gives a frame of
#            the right size and format with every sample 0, and reports success. PyAV, which does not show FFmpeg's
#            messages unless asked, says nothing. The command line prints that something "is not implemented",
#            writes the black picture and exits with 0. Line-interleaved colour, which FFmpeg itself writes, and gray
#            are right, so that a round trip shows nothing.
# Matters:   endoscopy, dermatology and slide pictures are kept in JPEG-LS; a folder of them becomes black results or
#            black training targets, and no frame is missing.
# Standard:  ISO/IEC 14495-1 (ITU-T T.87), C.2.3: the scan header's interleave mode is 0 (none), 1 (line) or 2 (sample).
# Packages:  av 18.1.0 (its FFmpeg 8.1.2), imageio-ffmpeg 0.8.1 (FFmpeg 9.0.2), imagecodecs 2026.3.6 (its CharLS), numpy
#            2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'av==18.1.0' 'imageio-ffmpeg==0.8.1' \
    'imagecodecs==2026.3.6' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import subprocess
from fractions import Fraction

import av
import imagecodecs
import imageio_ffmpeg
import numpy as np

print("guess: the picture, or an error")
print(f"PyAV {av.__version__}, FFmpeg {imageio_ffmpeg.get_ffmpeg_version()}, imagecodecs {imagecodecs.__version__} "
      f"({imagecodecs.jpegls_version()})")
rng = np.random.default_rng(0)
colour = rng.integers(0, 256, (32, 48, 3), dtype=np.uint8)
gray = colour[..., 0].copy()


def interleaving(data):
    """The interleave mode of the first scan: after marker, length, count, the components' pairs and NEAR."""
    scan = data.index(b"\xff\xda")
    return data[scan + 5 + 2 * data[scan + 4] + 1]


def by_av(path):
    with av.open(path) as container:
        (frame,) = container.decode(video=0)
        return frame.format.name, frame.to_ndarray()


def by_command(path):
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True)
    return done.returncode, np.frombuffer(done.stdout, np.uint8).reshape(colour.shape), b"not implemented" in done.stderr


codec = av.CodecContext.create("jpegls", "w")
codec.width, codec.height, codec.pix_fmt, codec.time_base = 48, 32, "rgb24", Fraction(1, 25)
files = {
    "gray by imagecodecs": (gray, imagecodecs.jpegls_encode(gray)),
    "colour by FFmpeg": (colour, bytes(codec.encode(av.VideoFrame.from_ndarray(colour, format="rgb24"))[0])),
    "colour by imagecodecs": (colour, imagecodecs.jpegls_encode(colour)),
}
for name, (pixels, data) in files.items():
    with open("picture.jls", "wb") as file:
        file.write(data)
    assert (imagecodecs.jpegls_decode(data) == pixels).all(), "CharLS reads all of them"
    form, got = by_av("picture.jls")
    assert got.shape == pixels.shape
    print(f"  {name}, interleave mode {interleaving(data)}: PyAV gives {form}, {(got == pixels).mean():.0%} of samples right, "
          f"largest {got.max()}")
    assert (got == pixels).all() if interleaving(data) < 2 else not got.any()
assert interleaving(data) == 2
code, got, said = by_command("picture.jls")
print("behaviour: a black frame; the command line exits with", code, "and a largest sample of", got.max())
assert code == 0 and not got.any() and said
PY
