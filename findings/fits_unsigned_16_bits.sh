#!/usr/bin/env bash
# FITS with unsigned 16-bit samples, as astronomers' cameras write: three picture readers, three wrong pictures.
#
# Guess:     a reader of FITS applies BZERO and BSCALE, the only way in which FITS has unsigned integers, or refuses.
#            What can go wrong is the order of the rows (FITS counts from the bottom).
# Behaviour: - Pillow ignores both and reads the stored signed numbers as unsigned: below 32768 it adds 32768, from
#              32768 up it takes 32768 away. The sky is bright and the stars are black; of 32767 and 32768,
#              neighbours, it makes 65535 and 0.
#            - OpenImageIO ignores both, too, but keeps the sign: -32768 to 32767. As float that is -1 to 1; as
#              unsigned 16 bits everything below 32768 is black.
#            - FFmpeg (PyAV) heeds both, and then stretches each picture from its own minimum to its own
#              maximum: the same star is 65535 in every frame that has nothing brighter, whatever its value.
#            Rows are turned by all three. Nothing is said by any. Signed 16-bit files below 0 fare alike.
# Matters:   upscaled or stacked sky pictures: Pillow's has inverted stars, OpenImageIO's is black, and FFmpeg's
#            frames flicker with their brightest pixel. For signed files without negative numbers,
#            Pillow and OpenImageIO are right, so that a test with a small ramp passes.
# Standard:  FITS Standard 4.0, 4.4.2.5: physical value = BZERO + BSCALE * stored value, and 5.2.5 (table 11):
#            unsigned 16-bit integers are stored with BZERO = 32768.
# Packages:  astropy 8.0.2 (writes, and reads right), pillow 13.0.0, openimageio 3.2.2.0, av 18.1.0, numpy 2.4.6;
#            Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --no-compile --disable-pip-version-check 'astropy==8.0.2' 'pillow==13.0.0' \
    'openimageio==3.2.2.0' 'av==18.1.0' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import astropy
import av
import numpy as np
import OpenImageIO as oiio
import PIL
from astropy.io import fits
from PIL import Image

print("guess: the samples as they were written, or an error")
print(f"astropy {astropy.__version__}, Pillow {PIL.__version__}, OpenImageIO {oiio.VERSION_STRING}, PyAV {av.__version__}")
SKY = np.array([[500, 32767, 32768, 40000], [500, 1000, 2000, 3000]], np.uint16)
fits.writeto("sky.fits", SKY)
header = fits.getheader("sky.fits")
assert (header["BITPIX"], header["BZERO"], header["BSCALE"]) == (16, 32768, 1)
assert (fits.getdata("sky.fits") == SKY).all(), "astropy reads it right"
upright = SKY[::-1].astype(int)

with Image.open("sky.fits") as image:
    assert image.mode == "I;16"
    pillow = np.asarray(image).astype(int)
buffer = oiio.ImageBuf("sky.fits")
signed, unsigned, floats = (buffer.get_pixels(kind)[..., 0] for kind in (oiio.INT16, oiio.UINT16, oiio.FLOAT))


def with_av(path):
    with av.open(path) as container:
        frame = next(container.decode(video=0))
        assert frame.format.name == "gray16le"
        return frame.to_ndarray().astype(int)


for name, samples in (("written", upright), ("Pillow", pillow), ("OpenImageIO", signed), ("PyAV", with_av("sky.fits"))):
    print(f"  {name:<12}", samples.tolist())
assert (pillow == (upright + 32768) % 65536).all()
assert buffer.spec().format == "int16" and (signed == upright - 32768).all()
assert (unsigned == np.where(upright < 32768, 0, unsigned)).all() and floats.min() < -0.98

# One star, the same in each frame, with something brighter in the second.
star = np.full((4, 4), 500, np.uint16)
star[1, 1] = 10000
both = star.copy()
both[2, 2] = 40000
fits.writeto("one.fits", star)
fits.writeto("two.fits", both)
seen = [int(with_av(path)[2, 1]) for path in ("one.fits", "two.fits")]
print("behaviour: a star of 10000 in two frames is", seen, "for FFmpeg; Pillow turns 32767, 32768 into", pillow[1, 1:3])
assert seen == [65535, round((10000 - 500) / (40000 - 500) * 65535)]
PY
