"""Comic archives: pages upscaled, everything else preserved, and what is refused."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.command import BICUBIC, Run
from helpers.images import encoded, smooth
from PIL import Image

from sr_cli import UpscaleOptions, upscale_files
from sr_cli.upscale.request import Event, Progress

STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED

COMIC_INFO = (
    b"<?xml version='1.0'?>\r\n<ComicInfo><Title>A > B</Title><PageCount>2</PageCount><Pages>"
    b'<Page Image="0" ImageSize=\'9\'  ImageWidth="40" ImageHeight = "40" Type=\'FrontCover\'/>'
    b"<Page Image='1' Bookmark='x'/></Pages></ComicInfo>"
)


def pack(path: Path, *entries: tuple[str, bytes], method: int = STORED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries:
            info = zipfile.ZipInfo(name, (2020, 2, 4, 6, 8, 10))
            archive.writestr(info, content, method)
    return path


def book(path: Path, **options: int) -> Path:
    """Two pages, not in the order of their names."""
    return pack(path, ("b/2.png", encoded("png")), ("b/1.jpg", encoded("jpg")), **options)


def unpacked(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


def size_of(content: bytes) -> tuple[int, int]:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return image.size


def test_pages_are_upscaled_and_the_rest_is_preserved(sr: Run, tmp_path: Path) -> None:
    path = tmp_path / "Book 1.cbz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"a comment"
        stamp = struct.pack("<HHBI", 0x5455, 5, 1, 1_580_000_000)
        unicode_path = struct.pack("<HHBI", 0x7075, 5, 1, 0)
        for name, content, method in (
            ("b/", b"", STORED),
            ("b/2.png", encoded("png"), STORED),
            ("ComicInfo.xml", COMIC_INFO, DEFLATED),
            ("b/1.jpg", encoded("jpg"), DEFLATED),
            ("b/seite-ä.webp", encoded("webp"), STORED),
            ("Thumbs.db", bytes(range(256)), DEFLATED),
            ("b/3.TGA", b"not supported", STORED),
            ("b/4.jp2", b"not supported", STORED),
            ("b/.thumbnails/1.tga", b"no page", STORED),
            ("__MACOSX/b/._1.jpg", b"resource fork", STORED),
            ("b/.thumbnails/1.jpg", encoded("jpg"), STORED),
        ):
            info = zipfile.ZipInfo(name, (2020, 2, 4, 6, 8, 10))
            info.comment, info.external_attr, info.extra = b"c", 0o640 << 16, stamp + unicode_path
            archive.writestr(info, content, method)
    done = sr(*BICUBIC, path.name, "--json")
    assert done.returncode == 0, done.stderr.decode()
    (record,) = done.records
    sizes = [record[k] for k in ("width", "height", "output_width", "output_height", "pages")]
    assert (record["output"], sizes) == ("Book 1_x2.cbz", [40, 40, 80, 80, 3])
    assert done.notes == [
        {"kind": "page-sizes-dropped", "entry": "ComicInfo.xml"},
        {"kind": "images-copied", "count": 2, "suffixes": [".jp2", ".tga"]},
        {"kind": "entries-copied", "count": 4},
    ]
    before, after = unpacked(path), unpacked(tmp_path / "Book 1_x2.cbz")
    assert list(after) == list(before)
    for name in ("b/2.png", "b/1.jpg", "b/seite-ä.webp"):
        assert size_of(after[name]) == (80, 80)
    for name in ("b/", "Thumbs.db", "__MACOSX/b/._1.jpg", "b/.thumbnails/1.jpg", "b/4.jp2"):
        assert after[name] == before[name]
    told = after["ComicInfo.xml"].decode()
    for attribute in (" ImageSize='9'", '  ImageWidth="40"', ' ImageHeight = "40"'):
        assert attribute in COMIC_INFO.decode() and attribute not in told
    assert told == (
        "<?xml version='1.0'?>\r\n<ComicInfo><Title>A > B</Title><PageCount>2</PageCount><Pages>"
        "<Page Image=\"0\" Type='FrontCover'/><Page Image='1' Bookmark='x'/></Pages></ComicInfo>"
    )
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "Book 1_x2.cbz") as new:
        assert new.comment == b"a comment"
        for a, b in zip(old.infolist(), new.infolist(), strict=True):
            same = ("date_time", "compress_type", "comment", "external_attr", "create_system")
            assert [getattr(a, n) for n in same] == [getattr(b, n) for n in same]
            assert b.extra == stamp


def test_pages_are_those_of_single_images(sr: Run, tmp_path: Path) -> None:
    book(tmp_path / "a.cbz")
    (tmp_path / "2.png").write_bytes(encoded("png"))
    (tmp_path / "1.jpg").write_bytes(encoded("jpg"))
    assert sr("upscale", "-m", "espcn", "-x3", "a.cbz", "2.png", "1.jpg").returncode == 0
    made = unpacked(tmp_path / "a_x3.cbz")
    for name in ("2.png", "1.jpg"):
        single = (tmp_path / name.replace(".", "_x3.")).read_bytes()
        assert made[f"b/{name}"] == single
    again = sr("upscale", "-m", "espcn", "-x3", "a.cbz", "-o", "b.cbz")
    assert again.returncode == 0
    assert (tmp_path / "b.cbz").read_bytes() == (tmp_path / "a_x3.cbz").read_bytes()


def test_a_format_changes_the_endings_of_pages_alone(sr: Run, tmp_path: Path) -> None:
    pack(tmp_path / "a.cbz", ("1.PNG", encoded("png")), ("2.jpeg", encoded("jpg")), ("x.txt", b"x"))
    done = sr(*BICUBIC, "a.cbz", "-f", "jpg", "-q", "50")
    assert done.returncode == 0, done.stderr.decode()
    made = unpacked(tmp_path / "a_x2.cbz")
    assert list(made) == ["1.jpg", "2.jpeg", "x.txt"]
    assert made["1.jpg"].startswith(b"\xff\xd8") and made["2.jpeg"].startswith(b"\xff\xd8")


def test_folders_names_and_existing_results(sr: Run, tmp_path: Path) -> None:
    book(tmp_path / "in/a.CBZ")
    book(tmp_path / "in/more/b.cbz")
    (tmp_path / "in/c.png").write_bytes(encoded("png"))
    planned = sr(*BICUBIC, "in", "-r", "-o", "out/", "--dry-run", "--json")
    outputs = ["out/a.CBZ", "out/c.png", "out/more/b.cbz"]
    assert [r["output"] for r in planned.records] == outputs
    assert not (tmp_path / "out").exists()
    assert sr(*BICUBIC, "in", "-r", "-o", "out/").returncode == 0
    assert [str(p) for p in outputs if (tmp_path / p).is_file()] == outputs
    before = (tmp_path / "out/a.CBZ").read_bytes()
    again = sr(*BICUBIC, "in/a.CBZ", "-o", "out/")
    assert (again.returncode, again.error_codes) == (1, ["already-exists"])
    (skipped,) = sr(*BICUBIC, "in/a.CBZ", "-o", "out/", "--skip-existing", "--json").records
    assert (skipped["status"], skipped["reason"]) == ("skipped", "exists")
    assert (tmp_path / "out/a.CBZ").read_bytes() == before
    assert sr("upscale", "-m", "bicubic", "-x3", "in/a.CBZ", "-o", "out/", "-y").returncode == 0
    assert size_of(unpacked(tmp_path / "out/a.CBZ")["b/2.png"]) == (120, 120)
    assert sr(*BICUBIC, "in/a.CBZ", "-o", "in/a.CBZ", "-y").returncode == 0
    assert size_of(unpacked(tmp_path / "in/a.CBZ")["b/2.png"]) == (80, 80)
    # Results next to their inputs are not upscaled again.
    assert sr(*BICUBIC, "in").returncode == 0
    assert sr(*BICUBIC, "in", "--skip-existing").returncode == 0
    assert not list(tmp_path.glob("in/*_x2_x2*"))


def test_the_size_of_the_largest_factor_decides_the_network(sr: Run, tmp_path: Path) -> None:
    images = [io.BytesIO() for _ in range(2)]
    for file, width in zip(images, (60, 30), strict=True):
        Image.fromarray(smooth(20, width)).save(file, "PNG")
    pack(tmp_path / "a.cbz", *((f"{n}.png", f.getvalue()) for n, f in enumerate(images)))
    done = sr("upscale", "-m", "espcn", "a.cbz", "--width", "90", "-v")
    assert done.returncode == 0, done.stderr.decode()
    sizes = [size_of(c) for c in unpacked(tmp_path / "a_w90.cbz").values()]
    assert sizes == [(90, 30), (90, 60)]
    with Image.open(io.BytesIO(unpacked(tmp_path / "a_w90.cbz")["1.png"])) as page:
        made = np.asarray(page)
    Image.fromarray(smooth(20, 30)).save(tmp_path / "b.png")
    assert (
        sr("upscale", "-m", "espcn", "b.png", "--width", "90", "--precision", "fp32").returncode
        == 0
    )
    with Image.open(tmp_path / "b_w90.png") as alone:
        assert np.abs(made.astype(int) - np.asarray(alone)).max() <= 8


def test_progress_goes_over_the_pages(tmp_path: Path) -> None:
    path = book(tmp_path / "a.cbz")
    events: list[Event] = []
    (result,) = upscale_files(path, model="bicubic", scale=2, on_event=events.append)
    assert (result.status, result.pages) == ("done", 2)
    shares = [e.share for e in events if isinstance(e, Progress) and e.source == path]
    assert shares == sorted(shares) and 0.5 in shares and shares[-1] == 1


def flag(data: bytes, bit: int) -> bytes:
    """Set a general purpose flag of all entries."""
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        parts = data.split(signature)
        for part in range(1, len(parts)):
            changed = bytearray(parts[part])
            changed[offset - 4 + bit // 8] |= 1 << bit % 8
            parts[part] = bytes(changed)
        data = signature.join(parts)
    return data


def declare(data: bytes, size: int) -> bytes:
    """Declare this uncompressed size for all entries."""
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        parts = data.split(signature)
        for part in range(1, len(parts)):
            changed = bytearray(parts[part])
            changed[offset - 4 : offset] = struct.pack("<I", size)
            parts[part] = bytes(changed)
        data = signature.join(parts)
    return data


def deflated(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("1.bmp", content, DEFLATED)
    return file.getvalue()


def with_names(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr("a" * len(name), encoded("png"))
    data = file.getvalue()
    for name in names:
        data = data.replace(b"a" * len(name), name.encode(), 2)
    return data


PAGE = encoded("bmp")

REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "damaged-archive"),
    "text": (lambda: b"no archive", "damaged-archive"),
    "truncated": (lambda: with_names("1.png")[:-30], "damaged-archive"),
    "no pages": (lambda: with_names("1.txt"), "no-pages"),
    "encrypted": (lambda: flag(with_names("1.png"), 0), "encrypted-archive"),
    "parent": (lambda: with_names("1.png", "../../2.png"), "unsafe-entry"),
    "parent inside": (lambda: with_names("1.png", "b/../../x"), "unsafe-entry"),
    "absolute": (lambda: with_names("1.png", "/etc/x.png"), "unsafe-entry"),
    "drive": (lambda: with_names("1.png", "C:x.png"), "unsafe-entry"),
    "backslash": (lambda: with_names("1.png", "..\\2.png"), "unsafe-entry"),
    "unprintable": (lambda: with_names("1.png", "2\n.png"), "unsafe-entry"),
    "cut name": (lambda: with_names("1.png", "2.png\0.exe"), "unsafe-entry"),
    "duplicate": (lambda: with_names("1.png", "1.png"), "unsafe-entry"),
    "bomb": (lambda: deflated(bytes(70 << 20)), "expands-too-much"),
    "bomb declared small": (lambda: declare(deflated(bytes(70 << 20)), 1000), "damaged-archive"),
    "less than declared": (lambda: declare(deflated(PAGE), len(PAGE) + 9), "damaged-archive"),
    "bad page": (lambda: deflated(PAGE[:100]), "damaged-image"),
    "no image": (lambda: deflated(b"text"), "unknown-image-format"),
}


@pytest.mark.parametrize("kind", list(REFUSED))
def test_what_is_refused_leaves_nothing(sr: Run, tmp_path: Path, kind: str) -> None:
    content, code = REFUSED[kind]
    (tmp_path / "a.cbz").write_bytes(content())
    done = sr(*BICUBIC, "a.cbz", "-o", "out/")
    assert (done.returncode, done.error_codes) == (1, [code]), done.stderr.decode()
    assert b"a.cbz" in done.stderr
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_one_bad_page_is_named_and_nothing_is_written(sr: Run, tmp_path: Path) -> None:
    pack(tmp_path / "a.cbz", ("1.png", encoded("png")), ("p/2.png", encoded("png")[:300]))
    book(tmp_path / "b.cbz")
    (tmp_path / "a_x2.cbz").write_bytes(b"what was there")
    done = sr(*BICUBIC, "a.cbz", "b.cbz", "-y", "--json")
    assert (done.returncode, done.error_codes) == (1, ["damaged-image"])
    failed, other = done.records
    assert failed["error"]["subject"] == str(Path("a.cbz/p/2.png"))
    assert (tmp_path / "a_x2.cbz").read_bytes() == b"what was there" and other["status"] == "done"
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".sr-")]


def test_pages_larger_than_allowed(sr: Run, tmp_path: Path) -> None:
    book(tmp_path / "a.cbz")
    done = sr(*BICUBIC, "a.cbz", "--max-pixels", "1000")
    assert (done.returncode, done.error_codes) == (1, ["too-many-pixels"])
    assert not (tmp_path / "a_x2.cbz").exists()


def test_new_names_that_meet(sr: Run, tmp_path: Path) -> None:
    pack(tmp_path / "a.cbz", ("1.png", encoded("png")), ("1.jpg", encoded("jpg")))
    assert sr(*BICUBIC, "a.cbz").returncode == 0
    done = sr(*BICUBIC, "a.cbz", "-f", "webp", "-o", "b.cbz")
    assert (done.returncode, done.error_codes) == (1, ["outputs-collide"])
    assert not (tmp_path / "b.cbz").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (("a.cbr",), "unsupported-archive", 1),
        (("a.cb7",), "unsupported-archive", 1),
        (("a.cbz", "-o", "-"), "conflicting-options", 2),
        (("a.cbz", "-o", "a.png"), "archive-not-in-name", 2),
        (("a.cbz", "-o", "a"), "archive-not-in-name", 2),
        (("1.png", "-o", "b.cbz"), "format-not-in-name", 2),
        (("a.cbz", "--compare"), "conflicting-options", 2),
        (("a.cbz", "-f", "cbz"), "unknown-value", 2),
    ],
)
def test_requests_that_cannot_work(
    sr: Run, tmp_path: Path, arguments: tuple[str, ...], code: str, exit_code: int
) -> None:
    for name in ("a.cbz", "a.cbr", "a.cb7"):
        book(tmp_path / name)
    (tmp_path / "1.png").write_bytes(encoded("png"))
    before = sorted(tmp_path.iterdir())
    done = sr(*BICUBIC, *arguments)
    assert (done.returncode, done.error_codes) == (exit_code, [code])
    assert sorted(tmp_path.iterdir()) == before


def test_the_bytes_of_names_are_preserved(sr: Run, tmp_path: Path) -> None:
    """Names that are not marked as UTF-8 are in whatever the writer's computer used."""
    raw = "頁1.png".encode("shift_jis")
    data = with_names("1" * (len(raw) - 4) + ".png").replace(b"1" * (len(raw) - 4), raw[:-4])
    (tmp_path / "a.cbz").write_bytes(data)
    assert sr(*BICUBIC, "a.cbz", "-f", "webp").returncode == 0
    made = (tmp_path / "a_x2.cbz").read_bytes()
    assert made.count(raw[:-4] + b".webp") == 2
    with zipfile.ZipFile(tmp_path / "a_x2.cbz") as archive:
        (info,) = archive.infolist()
    assert info.flag_bits & 0x800 == 0
    pack(tmp_path / "b.cbz", ("頁1.png", encoded("png")))
    assert sr(*BICUBIC, "b.cbz").returncode == 0
    assert list(unpacked(tmp_path / "b_x2.cbz")) == ["頁1.png"]


def test_descriptions_in_utf_16_and_of_other_kinds(sr: Run, tmp_path: Path) -> None:
    text = COMIC_INFO.decode().replace("A > B", "頁")
    for encoding in ("utf-16", "utf-8-sig"):
        pack(tmp_path / "a.cbz", ("1.png", PAGE), ("x/COMICINFO.XML", text.encode(encoding)))
        assert sr(*BICUBIC, "a.cbz", "-y").returncode == 0
        told = unpacked(tmp_path / "a_x2.cbz")["x/COMICINFO.XML"].decode(encoding)
        assert "ImageWidth" not in told and "<Title>頁</Title>" in told and "Bookmark" in told
    plain = b"<ComicInfo><Title>\xff\xfe\x00</Title></ComicInfo>"
    pack(tmp_path / "a.cbz", ("1.png", PAGE), ("ComicInfo.xml", plain))
    done = sr(*BICUBIC, "a.cbz", "-y", "--json")
    assert done.note_kinds == [] and unpacked(tmp_path / "a_x2.cbz")["ComicInfo.xml"] == plain


def test_options_reach_the_pages(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.cbz", ("1.gif", encoded("gif")), ("2.png", encoded("png")))
    options = UpscaleOptions(lossless=True)
    (result,) = upscale_files(path, model="bicubic", scale=2, options=options)
    assert result.error is not None and result.error.code == "never-lossless"
    assert result.error.subject == str(path / "1.gif")


def test_results_of_earlier_runs_are_known_by_their_pages(sr: Run, tmp_path: Path) -> None:
    book(tmp_path / "in/a.cbz")
    assert sr(*BICUBIC, "in").returncode == 0
    (tmp_path / "in/a_x2.cbz").rename(tmp_path / "in/other.cbz")
    again = sr(*BICUBIC, "in")
    assert again.returncode == 0
    made = {p.name for p in (tmp_path / "in").iterdir()}
    assert made == {"a.cbz", "other.cbz", "a_x2.cbz"}


def test_a_broken_result_is_made_again(sr: Run, tmp_path: Path) -> None:
    book(tmp_path / "a.cbz")
    (tmp_path / "a_x2.cbz").write_bytes(b"")
    done = sr(*BICUBIC, "a.cbz", "--skip-existing", "--json")
    assert done.returncode == 0 and done.note_kinds == ["unreadable-result-replaced"]
    assert size_of(unpacked(tmp_path / "a_x2.cbz")["b/2.png"]) == (80, 80)
    (skipped,) = sr(*BICUBIC, "a.cbz", "--skip-existing", "--json").records
    assert skipped["status"] == "skipped"
    good = (tmp_path / "a_x2.cbz").read_bytes()
    with zipfile.ZipFile(tmp_path / "a_x2.cbz") as archive:
        place = archive.getinfo("b/2.png").header_offset + 80
    (tmp_path / "a_x2.cbz").write_bytes(
        good[:place] + bytes([good[place] ^ 255]) + good[place + 1 :]
    )
    done = sr(*BICUBIC, "a.cbz", "--skip-existing", "--json")
    assert done.returncode == 0 and done.note_kinds == ["unreadable-result-replaced"]
    assert size_of(unpacked(tmp_path / "a_x2.cbz")["b/2.png"]) == (80, 80)
