#!/usr/bin/env bash
# libvips 8.18 and Ultra HDR photos: `autorot` turns the picture, and leaves the gain map as it lay.
#
# Guess:     8.18 keeps the gain map of Ultra HDR JPEGs through load, resize and save, and `thumbnail` turns and
#            crops it along with an upright photo. `autorot`, the operation whose whole task is to make a
#            photo upright, then turns both too, or drops the map.
# Behaviour: autorot turns the pixels, removes the orientation, keeps the gain map as it was, and jpegsave writes
#            a valid Ultra HDR file. Its highlights are now brightened in another place: the light of 4.0
#            falls to 0.96 and a gray of 0.2 elsewhere rises to 0.82; for orientation 6 the map's sides
#            do not even match. The SDR picture is right, so nobody sees it without an HDR screen.
#            thumbnail of the same file, or uhdr2scRGB before autorot, give the right HDR picture.
# Matters:   "autorot, then upscale, then save" is the usual order; phones store portrait photos turned by tag.
# Standard:  ISO 21496-1 (and Android's Ultra HDR 1.1): the map covers exactly the base picture, stretched to it.
# Packages:  pyvips 3.2.0 with pyvips-binary 8.18.7 (its libultrahdr), numpy 2.4.6; Python 3.11 or later.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check 'pyvips==3.2.0' 'pyvips-binary==8.18.7' 'numpy==2.4.6'
cd "$work"
venv/bin/python - <<'PY'
import numpy as np
import pyvips

pyvips.cache_set_max(0)
print("guess: an Ultra HDR photo made upright has its highlights where they were seen")
print(f"libvips {'.'.join(str(pyvips.version(i)) for i in range(3))}")

# Gray (.2) with a lamp (4.0) in the upper left, 192x128, and how it looks upright for each orientation.
scene = np.full((128, 192, 3), 0.2, np.float32)
scene[16:48, 16:64] = 4
turns = {3: lambda a: a[::-1, ::-1], 6: lambda a: np.rot90(a, -1), 8: lambda a: np.rot90(a, 1)}
linear = pyvips.Image.new_from_memory(scene.tobytes(), 192, 128, 3, "float").copy(interpretation="scrgb")
linear.uhdrsave("flat.jpg", Q=95)


def light(name):
    picture = pyvips.Image.new_from_file(name)
    assert "gainmap-data" in picture.get_fields(), "no longer Ultra HDR"
    return picture, picture.uhdr2scRGB().numpy()


for orientation, turn in turns.items():
    tagged = pyvips.Image.new_from_file("flat.jpg").copy()
    tagged.set_type(pyvips.GValue.gint_type, "orientation", orientation)
    tagged.write_to_file("phone.jpg")
    lamp = turn(scene)[..., 0] > 1
    inside = np.zeros_like(lamp)
    ys, xs = np.nonzero(lamp)
    inside[ys.min() + 6 : ys.max() - 5, xs.min() + 6 : xs.max() - 5] = True

    pyvips.Image.new_from_file("phone.jpg").autorot().write_to_file("turned.jpg")
    pyvips.Image.new_from_file("phone.jpg").uhdr2scRGB().autorot().uhdrsave("through_hdr.jpg", Q=95)
    pyvips.Image.thumbnail("phone.jpg", lamp.shape[1], height=lamp.shape[0]).write_to_file("thumbnail.jpg")
    found = {}
    for name in ("turned", "through_hdr", "thumbnail"):
        picture, values = light(f"{name}.jpg")
        assert (picture.height, picture.width) == lamp.shape
        found[name] = np.median(values[inside])
    picture, values = light("turned.jpg")
    gain = picture.get_gainmap() if hasattr(picture, "get_gainmap") else pyvips.Image.jpegload_buffer(picture.get("gainmap-data"))
    base = picture.numpy()[..., 1]
    print(f"  orientation {orientation}: picture {picture.width}x{picture.height}, map {gain.width}x{gain.height}; "
          f"the lamp shines at {found['turned']:.2f} after autorot, {found['through_hdr']:.2f} by way of scRGB, "
          f"{found['thumbnail']:.2f} after thumbnail; SDR value {np.median(base[inside]):.0f}")
    # The same part of the unturned scene is where the map still brightens.
    still = np.zeros_like(lamp)
    wrong = slice(lamp.shape[0] * 20 // 128, lamp.shape[0] * 40 // 128), slice(lamp.shape[1] * 22 // 192, lamp.shape[1] * 56 // 192)
    still[wrong] = True
    gray = np.median(values[still & ~lamp])
    print(f"    gray of 0.2 where the map still lies upper left: {gray:.2f}")
    assert np.median(base[inside]) > 220, "the SDR picture is right"
    assert gray > 0.6
    assert found["turned"] < 1.1 and 3.5 < found["through_hdr"] < 4.5 and 3.5 < found["thumbnail"] < 4.7
    assert (gain.width > gain.height), "the map lies as it lay"
print("behaviour: after autorot the lamp of 4.0 shines at about 1; the map brightens another place")
PY
