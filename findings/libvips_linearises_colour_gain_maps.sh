#!/usr/bin/env bash
# libvips 8.18 and Ultra HDR: a gain map in colour is taken for an sRGB picture, and the HDR result is too dark.
#
# Guess:     uhdr2scRGB gives what Google's libultrahdr, which libvips is built on, decodes from the same file.
# Behaviour: with a gray gain map it does. With a map of three channels, which libultrahdr's encoder makes by
#            default, libvips undoes the sRGB curve on the map's samples before it uses them as gains.
#            Gains in the middle shrink, the ends stay: of a scene of 0.2, 1, 2 and 4 (1 is SDR white)
#            libvips gives 0.17, 0.56, 0.85 and 1.39, libultrahdr 0.2, 1, 2 and 4.
#            libvips's own files have gray maps, so that its round trip is right, and the SDR picture is
#            right in any case. Nothing is said.
# Matters:   HDR upscaling through libvips (uhdr2scRGB, resize, uhdrsave) stores the darker picture for good,
#            with a new tone curve: paper white falls by nearly a stop, highlights by one and a half.
# Standard:  Ultra HDR image format 1.1 ("decode" in the section on the gain map) and ISO 21496-1: a sample's gain is
#            min + (max - min) * (sample / 255)^(1 / gamma), per channel, with the gamma that the
#            metadata names (here 1); no transfer function of the map's image comes into it.
# Packages:  pyvips 3.2.0 with pyvips-binary 8.18.7, imagecodecs 2026.3.6 (libultrahdr 1.4.0), numpy 2.4.6;
#            Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pyvips==3.2.0' 'pyvips-binary==8.18.7' \
    'imagecodecs==2026.3.6' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import imagecodecs
import numpy as np
import pyvips

pyvips.cache_set_max(0)
print("guess: libvips and libultrahdr decode the same HDR picture from one file")
print(f"libvips {'.'.join(str(pyvips.version(i)) for i in range(3))}, imagecodecs {imagecodecs.__version__}, "
      f"{imagecodecs.ultrahdr_version()}")

LIGHT = (0.2, 1.0, 2.0, 4.0)
scene = np.zeros((128, 128, 3), np.float32)
for index, value in enumerate(LIGHT):
    scene[:, 32 * index : 32 * index + 32] = value


def bars(pixels):
    return [float(np.median(pixels[32:96, 32 * i + 8 : 32 * i + 24, 1].astype(float))) for i in range(len(LIGHT))]


def shown(values):
    return ", ".join(f"{v:.2f}" for v in values)


def read(data):
    picture = pyvips.Image.new_from_buffer(data, "")
    return picture, bars(picture.uhdr2scRGB().numpy()), bars(imagecodecs.ultrahdr_decode(data))


linear = pyvips.Image.new_from_memory(scene.tobytes(), 128, 128, 3, "float").copy(interpretation="scrgb")
by_libvips = linear.uhdrsave_buffer(Q=98)
with_alpha = np.dstack([scene, np.ones((128, 128), np.float32)]).astype(np.float16)
by_libultrahdr = imagecodecs.ultrahdr_encode(with_alpha, 98)

print(f"  scene: {shown(LIGHT)}")
for name, data, bands in (("libvips", by_libvips, 1), ("libultrahdr", by_libultrahdr, 3)):
    picture, vips, google = read(data)
    gain = picture.get_gainmap()
    print(f"  written by {name} (map of {gain.bands} channels): libvips reads {shown(vips)}; libultrahdr reads {shown(google)}")
    assert gain.bands == bands
    assert np.allclose(google, LIGHT, rtol=0.03)
    if bands == 1:
        assert np.allclose(vips, LIGHT, rtol=0.03)
        continue
    # The SDR picture as libvips has it, the map's samples, and both ways of using them.
    least, most = (np.log2(picture.get(f"gainmap-{side}-content-boost")[1]) for side in ("min", "max"))
    assert picture.get("gainmap-gamma")[1] == 1
    low, high = (picture.get(f"gainmap-offset-{side}")[1] for side in ("sdr", "hdr"))
    base = np.array(bars(picture.colourspace("scrgb").numpy()))
    sample = np.array(bars(gain.resize(picture.width / gain.width, kernel="nearest").numpy())) / 255
    as_stored = (base + low) * 2 ** (least + (most - least) * sample) - high
    straightened = np.where(sample <= 0.04045, sample / 12.92, ((sample + 0.055) / 1.055) ** 2.4)
    as_srgb = (base + low) * 2 ** (least + (most - least) * straightened) - high
    print(f"    by the formula, samples as stored: {shown(as_stored)}; samples through the sRGB curve: {shown(as_srgb)}")
    assert np.allclose(as_stored, LIGHT, rtol=0.06)
    assert np.allclose(vips, as_srgb, rtol=0.04)
    assert vips[1] < 0.65 and vips[3] < 1.6
print("behaviour: SDR white of 1 becomes 0.56 and light of 4 becomes 1.39 when the map has colour")
PY
