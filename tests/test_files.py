"""What was in the file is in the result: through the CLI, with bicubic, which needs no torch."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from helpers.command import BICUBIC, Run
from helpers.images import smooth
from PIL import Image, ImageCms, ImageSequence

from sr_cli.imaging.profiles import fit_to_samples

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6">'
    b"<exif:PixelXDimension>32</exif:PixelXDimension></rdf:Description></rdf:RDF></x:xmpmeta>"
)


def test_gray_palette_and_one_bit(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(smooth(12, 12)[..., 0]).save(tmp_path / "gray.png")
    Image.fromarray(smooth(12, 12)).quantize(16).save(tmp_path / "palette.png")
    Image.fromarray(smooth(12, 12)[..., 0]).convert("1").save(tmp_path / "bits.png")
    Image.fromarray(smooth(12, 12)[..., 0]).save(tmp_path / "gray.jpg")
    names = ["gray.png", "palette.png", "bits.png", "gray.jpg"]
    assert sr(*BICUBIC, *names, "-o", "out/").returncode == 0
    modes = {n: Image.open(tmp_path / "out" / n).mode for n in names}
    assert modes == {"gray.png": "L", "palette.png": "RGB", "bits.png": "L", "gray.jpg": "L"}


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("kind", ["gray", "rgb", "rgba"])
def test_sixteen_bits_are_real(sr: Run, tmp_path: Path, suffix: str, kind: str) -> None:
    deep = smooth(10, 14, top=65535)
    deep = {"gray": deep[..., 0], "rgb": deep, "rgba": np.dstack([deep, deep[..., :1]])}[kind]
    source = tmp_path / f"in.{suffix}"
    if suffix == "png":
        channels = {"gray": ..., "rgb": [2, 1, 0], "rgba": [2, 1, 0, 3]}[kind]
        order = deep if kind == "gray" else np.ascontiguousarray(deep[..., channels])
        source.write_bytes(cv2.imencode(".png", order)[1].tobytes())
    else:
        tags = [(34675, 7, len(SRGB), SRGB, True)]
        tifffile.imwrite(source, deep, photometric="minisblack" if kind == "gray" else "rgb",
                         resolution=(300, 300), resolutionunit="inch", extratags=tags,
                         extrasamples=["unassalpha"] if kind == "rgba" else None)  # fmt: skip
    assert sr(*BICUBIC, source).returncode == 0
    made = cv2.imread(str(tmp_path / f"in_x2.{suffix}"), cv2.IMREAD_UNCHANGED)
    assert made.dtype == np.uint16
    assert made.shape[:2] == (20, 28)
    first = made[..., 2] if made.ndim == 3 else made
    wanted = deep if kind == "gray" else deep[..., 0]
    assert abs(int(first.mean()) - int(wanted.mean())) < 60
    assert len(np.unique(first % 257)) > 20
    if suffix == "tif":
        with Image.open(tmp_path / "in_x2.tif") as described:
            wanted = fit_to_samples(SRGB, gray=kind == "gray")
            assert described.info["icc_profile"] == wanted
            assert float(described.info["dpi"][0]) == pytest.approx(300)


def test_alpha_has_no_fringe(sr: Run, tmp_path: Path) -> None:
    """Red on transparent black: nothing visible may turn dark."""
    picture = np.zeros((24, 24, 4), np.uint8)
    picture[6:18, 6:18] = (255, 0, 0, 255)
    Image.fromarray(picture).save(tmp_path / "in.png")
    for model in ("bicubic", "espcn"):
        assert sr("upscale", "-x4", "-m", model, "in.png", "-o", f"{model}.png").returncode == 0
        made = np.asarray(Image.open(tmp_path / f"{model}.png")).astype(int)
        visible = made[..., 3] > 8
        assert made[..., 0][visible].min() >= 245
        assert (made[:16, :, 3] == 0).all()
        assert (made[40:56, 40:56, 3] == 255).all()


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animations_keep_frames_durations_and_loop(sr: Run, tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(smooth(10, 12, seed=i)) for i in range(3)]
    source = tmp_path / f"in.{suffix}"
    frames[0].save(source, save_all=True, append_images=frames[1:], duration=[50, 100, 150], loop=2)
    assert sr(*BICUBIC, source).returncode == 0
    with Image.open(tmp_path / f"in_x2.{suffix}") as made:
        assert made.n_frames == 3
        durations = []
        for index, frame in enumerate(ImageSequence.Iterator(made)):
            frame.load()
            durations.append(frame.info["duration"])
            wanted = np.asarray(frames[index].convert("RGB")).mean()
            assert abs(np.asarray(frame.convert("RGB")).mean() - wanted) < 8
            assert frame.size == (24, 20)
        assert durations == [50, 100, 150]
        assert made.info["loop"] == 2


def test_pages_of_a_tiff_are_kept(sr: Run, tmp_path: Path) -> None:
    pages = [Image.fromarray(smooth(10, 12)), Image.fromarray(smooth(7, 5)[..., 0])]
    pages[0].save(tmp_path / "in.tif", save_all=True, append_images=pages[1:])
    assert sr(*BICUBIC, "in.tif").returncode == 0
    with Image.open(tmp_path / "in_x2.tif") as made:
        assert made.n_frames == 2
        assert made.size == (24, 20)
        made.seek(1)
        assert made.size == (10, 14)
        assert made.mode == "L"


def test_a_size_is_that_of_the_first_page(sr: Run, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        file.write(smooth(24, 32), photometric="rgb")
        file.write(smooth(32, 24), photometric="rgb")
    done = sr(*BICUBIC, "in.tif", "--json")
    (record,) = done.records
    sizes = [record[key] for key in ("width", "height", "output_width", "output_height")]
    assert sizes == [32, 24, 64, 48]


def test_smaller_copies_in_a_tiff_are_left_out(sr: Run, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        file.write(smooth(8, 8), subfiletype=1)
        file.write(smooth(16, 20), description="the scan")
        file.write(smooth(16, 16))
        file.write(smooth(4, 4).astype(np.uint16) * 257, photometric="rgb", subfiletype=1)
    done = sr(*BICUBIC, "in.tif", "--json")
    assert done.returncode == 0
    assert done.notes == [{"kind": "reduced-pages-skipped", "count": 2}]
    with Image.open(tmp_path / "in_x2.tif") as made:
        assert made.n_frames == 2
        assert made.size == (40, 32) and made.tag_v2[270] == "the scan"
    only = tmp_path / "only.tif"
    with tifffile.TiffWriter(only) as file:
        for size in (8, 16):
            file.write(smooth(size, size), subfiletype=1)
    assert sr(*BICUBIC, only).returncode == 0
    with Image.open(tmp_path / "only_x2.tif") as made:
        assert made.n_frames == 2


def test_cmyk_and_lab_become_rgb_and_it_is_said(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(smooth(12, 12)).convert("CMYK").save(tmp_path / "c.jpg")
    lab = ImageCms.profileToProfile(
        Image.fromarray(smooth(12, 12)),
        ImageCms.createProfile("sRGB"),
        ImageCms.createProfile("LAB"),
        outputMode="LAB",
    )
    lab.save(tmp_path / "l.tif")
    done = sr(*BICUBIC, "c.jpg", "l.tif", "-o", "out/", "--json")
    assert done.returncode == 0
    assert done.notes == [
        {"kind": "converted-without-profile", "mode": "CMYK"},
        {"kind": "converted-to-srgb", "mode": "LAB"},
    ]
    for name in ("c.jpg", "l.tif"):
        made = Image.open(tmp_path / "out" / name)
        assert made.mode == "RGB"
        difference = np.asarray(made).mean((0, 1)) - smooth(12, 12).mean((0, 1))
        assert np.abs(difference).max() < 12


def test_lossless_formats(sr: Run, tmp_path: Path) -> None:
    Image.fromarray(smooth(12, 12)).save(tmp_path / "in.png")
    assert sr(*BICUBIC, "in.png").returncode == 0
    wanted = np.asarray(Image.open(tmp_path / "in_x2.png"))
    for suffix in ("webp", "avif"):
        assert sr(*BICUBIC, "in.png", "-f", suffix, "--lossless").returncode == 0
        assert np.array_equal(np.asarray(Image.open(tmp_path / f"in_x2.{suffix}")), wanted)


def test_what_a_format_cannot_hold_is_refused_or_flattened(sr: Run, tmp_path: Path) -> None:
    picture = np.dstack([smooth(10, 10), np.full((10, 10), 100, np.uint8)])
    Image.fromarray(picture).save(tmp_path / "alpha.png")
    deep = cv2.imencode(".png", smooth(10, 10, top=65535))[1].tobytes()
    (tmp_path / "deep.png").write_bytes(deep)
    done = sr(*BICUBIC, "alpha.png", "deep.png", "-f", "jpg", "-o", "out/", "--json")
    assert done.returncode == 1
    assert done.error_codes == ["unsupported-by-format"] * 2
    errors = [record["error"] for record in done.records]
    assert [e["features"] for e in errors] == [["alpha"], ["16-bit"]]
    assert [e["formats"] for e in errors] == [
        ["png", "webp", "tiff", "bmp", "gif", "avif", "jxl"],
        ["png", "tiff", "jxl"],
    ]
    assert done.stderr.count(b"--flatten") == 2
    assert not list(tmp_path.glob("out/*"))
    assert (
        sr(*BICUBIC, "alpha.png", "deep.png", "-f", "jpg", "-o", "out/", "--flatten").returncode
        == 0
    )
    flat = np.asarray(Image.open(tmp_path / "out" / "alpha.jpg")).mean()
    assert flat > smooth(10, 10).mean()


def test_too_large_for_the_format_is_refused_before_the_work(sr: Run, tmp_path: Path) -> None:
    Image.new("RGB", (5000, 1)).save(tmp_path / "wide.png")
    done = sr("upscale", "-m", "bicubic", "-x4", "wide.png", "-f", "webp")
    assert done.returncode == 1
    assert done.error_codes == ["too-large-for-format"]
    assert b"-f jpeg or png" in done.stderr


def test_one_pixel_in_every_format(sr: Run, tmp_path: Path) -> None:
    for suffix in ("jpg", "png", "webp", "tif", "bmp", "gif", "avif"):
        Image.new("RGB", (1, 1), (200, 30, 60)).save(tmp_path / f"one.{suffix}")
    done = sr("upscale", "-m", "bicubic", "-x3", ".", "--json", "-o", "out")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 7
    for path in (tmp_path / "out").iterdir():
        made = np.asarray(Image.open(path).convert("RGB")).astype(int)
        assert made.shape == (3, 3, 3)
        assert np.abs(made - (200, 30, 60)).max() <= 4


def test_json_says_what_was_done(sr: Run, photo: Path) -> None:
    done = sr(*BICUBIC, photo, "--json")
    record = json.loads(done.stdout)
    assert record["output"].endswith("photo_x2.jpg")
    assert (record["output_width"], record["output_height"]) == (64, 48)
    assert (record["width"], record["height"]) == (32, 24)
    assert 0 < record["seconds"] < 60
    assert record["notes"] == []


def test_heic_comes_out_as_jpeg(sr: Run, tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif", reason="the extra sr-cli[heif] is not installed")
    heif.from_pillow(Image.fromarray(smooth(24, 32))).save(tmp_path / "a.heic", quality=95)
    done = sr(*BICUBIC, "a.heic")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "a_x2.jpg") as made:
        assert made.format == "JPEG"
        assert made.size == (64, 48)


def test_heic_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from sr_cli.errors import SrError
    from sr_cli.imaging import decode

    monkeypatch.setattr(decode, "_prepare_pillow", lambda: None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(SrError) as caught:
        decode.read_picture(b"\0\0\0\x18ftypheic" + b"\0" * 40)
    assert (caught.value.code, caught.value.facts) == ("extra-missing", {"extra": "heif"})


def test_a_play_once_gif_is_played_once_as_webp(sr: Run, tmp_path: Path) -> None:
    frames = [Image.fromarray(smooth(10, 12, seed=i)) for i in range(2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=50)
    assert sr(*BICUBIC, "a.gif", "-f", "webp").returncode == 0
    assert sr(*BICUBIC, "a.gif").returncode == 0
    assert Image.open(tmp_path / "a_x2.webp").info["loop"] == 1
    assert "loop" not in Image.open(tmp_path / "a_x2.gif").info


def test_white_is_zero_and_premultiplied_alpha_are_understood(sr: Run, tmp_path: Path) -> None:
    flat = np.full((6, 6), 1000, np.uint16)
    tifffile.imwrite(tmp_path / "w.tif", flat, photometric="miniswhite")
    tifffile.imwrite(tmp_path / "p.tif", np.dstack([flat * 20] * 4), photometric="rgb",
                     extrasamples=["assocalpha"])  # fmt: skip
    assert sr(*BICUBIC, "w.tif", "p.tif", "-f", "png", "-o", "out/").returncode == 0
    assert (cv2.imread(str(tmp_path / "out/w.png"), cv2.IMREAD_UNCHANGED) == 64535).all()
    assert (cv2.imread(str(tmp_path / "out/p.png"), cv2.IMREAD_UNCHANGED)[..., :3] == 65535).all()
    cv2.imwrite(str(tmp_path / "c.png"), np.dstack([flat, flat * 2, flat * 3, flat * 4]))
    assert sr(*BICUBIC, "c.png", "-o", "c.tif").returncode == 0
    assert sr(*BICUBIC, "c.tif", "-o", "again.tif").returncode == 0
    assert (tifffile.imread(tmp_path / "again.tif") == (3000, 2000, 1000, 4000)).all()


def test_a_gif_stays_transparent_and_its_flat_colours_stay(sr: Run, tmp_path: Path) -> None:
    rgba = np.zeros((24, 32, 4), np.uint8)
    rgba[:, 8:] = (200, 10, 10, 255)
    still = Image.fromarray(rgba)
    still.save(tmp_path / "a.png")
    assert sr(*BICUBIC, "a.png", "-f", "gif").returncode == 0
    turned = Image.fromarray(np.ascontiguousarray(rgba[:, ::-1]))
    still.save(tmp_path / "b.gif", save_all=True, append_images=[turned], duration=50, disposal=2)
    assert sr(*BICUBIC, "b.gif").returncode == 0
    for name, flipped in (("a_x2.gif", [False]), ("b_x2.gif", [False, True])):
        with Image.open(tmp_path / name) as made:
            for index, flip in enumerate(flipped):
                made.seek(index)
                pixels = np.asarray(made.convert("RGBA"))[:, :: -1 if flip else 1]
                assert (pixels[:, :12, 3] == 0).all()
                assert (pixels[:, 24:] == (200, 10, 10, 255)).all()


def test_gray_animations_and_those_of_16_bits(sr: Run, tmp_path: Path) -> None:
    for name, dtype in (("a.png", np.uint8), ("b.png", np.uint16)):
        frames = [Image.fromarray(np.full((16, 16), level, dtype)) for level in (10, 200, 90)]
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=50)
    assert sr(*BICUBIC, "a.png").returncode == 0
    with Image.open(tmp_path / "a_x2.png") as made:
        assert made.n_frames == 3
        made.seek(1)
        assert (np.asarray(made.convert("L")) == 200).all()
    refused = sr(*BICUBIC, "b.png", "--json")
    assert refused.returncode == 1 and refused.error_codes == ["unsupported-by-format"]
    assert refused.records[0]["error"]["features"] == ["16-bit-animation"]
    assert sr(*BICUBIC, "b.png", "--flatten").returncode == 0
    with Image.open(tmp_path / "b_x2.png") as made:
        assert (made.n_frames, made.mode) == (3, "L")


def test_flatten_drops_only_what_is_missing(sr: Run, tmp_path: Path) -> None:
    deep = np.full((16, 16, 4), 40_000, np.uint16)
    cv2.imwrite(str(tmp_path / "a.tif"), deep)
    assert sr(*BICUBIC, "a.tif", "-f", "webp", "--flatten").returncode == 0
    with Image.open(tmp_path / "a_x2.webp") as made:
        assert made.mode == "RGBA"
        assert made.getpixel((16, 16))[3] == 156  # type: ignore[index]
