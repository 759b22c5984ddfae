"""DICOM slices: stored values, geometry, identity, what is dropped, and how they are shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.command import BICUBIC, Run
from PIL import Image

from sr_cli import read_provenance
from sr_cli.imaging.decode import holds_measurements, read_picture, read_size

pydicom = pytest.importorskip("pydicom")

# E402: what follows needs the extra, without which the line above skips this file.
from helpers.dicom import SECRET, UID, gray, slice_of, upscaled, write  # noqa: E402
from pydicom.data import get_testdata_file  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.uid import (  # noqa: E402
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

TYPES = [
    ("uint8", 8, 0, 255), ("int8", 8, -100, 100), ("uint16", 12, 0, 4095), ("uint16", 9, 0, 511),
    ("int16", 12, -2048, 2047), ("uint16", 16, 0, 65535), ("int16", 16, -30000, 30000),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "stored", "low", "top"), TYPES)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_stored_values_keep_type_bits_and_range(
    sr: Run, tmp_path: Path, dtype: str, stored: int, low: int, top: int, photometric: str
) -> None:
    pixels = gray(dtype, low, top)
    # An edge at the end of the range, where bicubic overshoots.
    pixels[5:15, 5:15], pixels[8:12, 8:12] = top, low
    source = slice_of(pixels, stored=stored, PhotometricInterpretation=photometric)
    made, _ = upscaled(sr, tmp_path, source)
    assert made.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert (made.Rows, made.Columns, made.BitsStored, made.HighBit) == (40, 48, stored, stored - 1)
    assert made.PhotometricInterpretation == photometric
    assert (made.RescaleSlope, made.RescaleIntercept) == (2, -1000)
    assert (made.WindowCenter, made.WindowWidth) == (40, 400)
    assert made.pixel_array.dtype == dtype
    values = np.frombuffer(made.PixelData, dtype)[: 40 * 48].reshape(40, 48).astype(np.float64)
    assert low <= values.min() and values.max() <= top
    means = values.reshape(20, 2, 24, 2).mean((1, 3))
    assert np.abs(means - pixels).mean() < 0.04 * (top - low)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, RLELossless])
def test_compressed_files_give_what_native_ones_give(sr: Run, tmp_path: Path, syntax: Any) -> None:
    stack = np.stack([gray(low=0), gray(low=-500)])
    native, _ = upscaled(sr, tmp_path, slice_of(stack))
    made, _ = upscaled(sr, tmp_path, slice_of(stack, syntax=syntax))
    assert made.NumberOfFrames == 2 and made.pixel_array.shape == (2, 40, 48)
    assert np.array_equal(made.pixel_array, native.pixel_array)
    assert made.SOPInstanceUID == native.SOPInstanceUID


@pytest.mark.parametrize(("dtype", "vr"), [("int16", "OW"), ("uint8", "OW"), ("uint8", "OB")])
def test_big_endian_files_give_what_little_endian_ones_give(
    sr: Run, tmp_path: Path, dtype: str, vr: str
) -> None:
    made = []
    for order in "<>":
        source = slice_of(gray(dtype, 0, 100))
        source["PixelData"].VR = vr
        table, icon = Dataset(), Dataset()
        table.add_new("LUTDescriptor", "US", [256, 0, 16])
        table.add_new("LUTData", "OW", np.arange(0, 65536, 256, "uint16").tobytes())
        icon.Rows, icon.Columns, icon.BitsAllocated = 2, 2, 16
        icon.add_new("PixelData", "OW", np.arange(4, dtype="uint16").tobytes())
        source.VOILUTSequence, source.IconImageSequence = [table], [icon]
        words = [(source["PixelData"], 2 if vr == "OW" else 1), (table["LUTData"], 2)]
        words.append((icon["PixelData"], 2))
        source.add_new(0x00090010, "LO", "words")
        for place, (kind, size) in enumerate({"OL": 4, "OF": 4, "OD": 8, "OV": 8, "UN": 1}.items()):
            source.add_new(0x00091000 + place, kind, bytes(range(16)))
            words.append((source[0x00091000 + place], size))
        if order == ">":
            source.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
            for element, size in words:
                element.value = np.frombuffer(element.value, f"u{size}").byteswap().tobytes()
        upscaled(sr, tmp_path, source)
        made.append((tmp_path / "a_x2.dcm").read_bytes())
    assert made[0] == made[1]
    found = pydicom.dcmread(tmp_path / "a_x2.dcm")
    assert np.frombuffer(found.VOILUTSequence[0].LUTData, "<u2")[1] == 256


def test_the_files_of_pydicom(sr: Run, tmp_path: Path) -> None:
    for name in ("CT_small.dcm", "MR_small_bigendian.dcm", "MR_small_RLE.dcm", "image_dfl.dcm"):
        path = Path(get_testdata_file(name, download=False))
        (tmp_path / name).write_bytes(path.read_bytes())
        done = sr(*BICUBIC, name, "-o", "out.dcm", "-y", "--json")
        assert done.returncode == 0, done.stderr
        source, made = pydicom.dcmread(path), pydicom.dcmread(tmp_path / "out.dcm")
        assert made.pixel_array.shape == tuple(2 * n for n in source.pixel_array.shape)
        assert str(made.PatientName) == str(source.PatientName)
        assert made.SOPClassUID == source.SOPClassUID
        assert "SmallestImagePixelValue" not in made


@pytest.mark.parametrize("name", ["MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm"])
def test_compressed_files_of_pydicom(sr: Run, tmp_path: Path, name: str) -> None:
    pytest.importorskip("openjpeg" if "jp2k" in name else "libjpeg")
    for file, target in ((name, "a.dcm"), ("MR_small.dcm", "b.dcm")):
        content = Path(get_testdata_file(file, download=False)).read_bytes()
        (tmp_path / "in.dcm").write_bytes(content)
        assert sr(*BICUBIC, "in.dcm", "-o", target).returncode == 0
    made = [pydicom.dcmread(tmp_path / target).pixel_array for target in ("a.dcm", "b.dcm")]
    assert np.array_equal(*made)


def test_the_result_lies_where_the_input_lay(sr: Run, tmp_path: Path) -> None:
    rotated = [0.6, 0.8, 0, 0, 0, -1]
    source = slice_of(
        gray(), PixelSpacing=[0.5, 0.8], ImagerPixelSpacing=[0.6, 0.9],
        NominalScannedPixelSpacing=[1, 2], ImagePositionPatient=[-10, 20, 30],
        ImageOrientationPatient=rotated, SliceThickness="3", SliceLocation="7",
    )  # fmt: skip
    detector = Dataset()
    detector.ImagePositionPatient = source.ImagePositionPatient
    detector.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    source.DetectorInformationSequence = [detector]
    made, _ = upscaled(sr, tmp_path, source)
    (detector,) = made.DetectorInformationSequence
    assert list(detector.ImagePositionPatient) == [-10.2, 19.875, 30]
    assert list(made.PixelSpacing) == [0.25, 0.4]
    assert list(made.ImagerPixelSpacing) == [0.3, 0.45]
    assert list(made.NominalScannedPixelSpacing) == [0.5, 1]
    assert list(made.ImageOrientationPatient) == rotated
    assert (made.SliceThickness, made.SliceLocation) == (3, 7)

    def corner(found: Any) -> Any:
        position, spacing = (np.array(found[n].value, float) for n in NAMES)
        across, down = np.array(rotated[:3]), np.array(rotated[3:])
        first = position - across * spacing[1] / 2 - down * spacing[0] / 2
        return [first, first + across * spacing[1] * found.Columns + down * spacing[0] * found.Rows]

    NAMES = ("ImagePositionPatient", "PixelSpacing")  # noqa: N806
    assert np.allclose(corner(made), corner(source), atol=1e-9)
    assert not np.allclose(made.ImagePositionPatient, source.ImagePositionPatient)
    assert all(len(str(n)) <= 16 for n in made.ImagePositionPatient)


def test_padding_is_never_blended(sr: Run, tmp_path: Path) -> None:
    pixels = gray("int16", 100, 3000)
    pixels[:6, :7] = -2000
    source = slice_of(pixels)
    # As many files have it: -2000 in 16 bits, as a number without sign.
    source.add_new("PixelPaddingValue", "US", 63536)
    made, done = upscaled(sr, tmp_path, source)
    values = made.pixel_array
    assert np.array_equal(values == -2000, (pixels == -2000).repeat(2, 0).repeat(2, 1))
    assert values[values != -2000].min() >= 100 - 30
    assert "missing-values" in done.note_kinds and made.PixelPaddingValue in (-2000, 63536)
    full = gray("uint16", 0, 4000)
    full[5:15, 5:15] = 4094
    full[:6, :7] = 4095
    made, _ = upscaled(sr, tmp_path, slice_of(full, stored=12, PixelPaddingValue=4095))
    assert np.array_equal(made.pixel_array == 4095, (full == 4095).repeat(2, 0).repeat(2, 1))


def test_a_result_is_a_derived_image_with_a_uid_of_its_own(sr: Run, tmp_path: Path) -> None:
    source = slice_of(gray(), DerivationDescription="windowed; by hand")
    made, _ = upscaled(sr, tmp_path, source)
    first = (tmp_path / "a_x2.dcm").read_bytes()
    assert list(made.ImageType) == ["DERIVED", "SECONDARY", "AXIAL"]
    uid = made.SOPInstanceUID
    assert uid.is_valid and uid.startswith("2.25.") and uid != UID
    assert made.file_meta.MediaStorageSOPInstanceUID == uid
    (item,) = made.SourceImageSequence
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (CTImageStorage, UID)
    assert item.SpatialLocationsPreserved == "YES"
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert made.DerivationCodeSequence[0].CodeValue == "113085"
    assert made.DerivationDescription.startswith("windowed; by hand; resized by sr ")
    assert (str(made.PatientName), made.PatientID) == (SECRET, "S-77")
    assert made.StudyInstanceUID == f"{UID}.2"
    found = read_provenance(tmp_path / "a_x2.dcm")
    assert found is not None and found.factor == 2 and found.models[0].id == "bicubic"
    assert json.loads(sr("models", "--of", "a_x2.dcm", "--json").stdout)["factor"] == 2
    upscaled(sr, tmp_path, source)
    assert (tmp_path / "a_x2.dcm").read_bytes() == first
    other = sr("upscale", "-x3", "-m", "bicubic", "a.dcm")
    assert other.returncode == 0
    assert pydicom.dcmread(tmp_path / "a_x3.dcm").SOPInstanceUID != uid
    # Of a folder, results are not upscaled again.
    assert [r["status"] for r in sr(*BICUBIC, ".", "--skip-existing", "--json").records].count(
        "done"
    ) == 0


def test_what_is_not_true_any_more_is_dropped_and_said(sr: Run, tmp_path: Path) -> None:
    source = slice_of(
        gray(), SmallestImagePixelValue=0, LargestImagePixelValue=5, ShutterShape="RECTANGULAR",
        ShutterLeftVerticalEdge=3,
    )  # fmt: skip
    source.add_new(0x60000010, "US", 20)
    source.add_new(0x60003000, "OW", bytes(60))
    made, done = upscaled(sr, tmp_path, source)
    (note,) = [n for n in done.notes if n["kind"] == "attributes-dropped"]
    assert set(note["attributes"]) == {
        "SmallestImagePixelValue", "LargestImagePixelValue", "ShutterShape",
        "ShutterLeftVerticalEdge", "Overlay",
    }  # fmt: skip
    assert not {element.tag.group for element in made} & {0x6000}
    assert "ShutterShape" not in made and "LargestImagePixelValue" not in made


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_other_formats_get_what_a_display_shows(sr: Run, tmp_path: Path, photometric: str) -> None:
    pixels = gray("uint16", 400, 600)
    pixels[:10] = 100
    pixels[10:15] = 4000
    pixels[15:18, :5] = 0
    source = slice_of(
        pixels, stored=12, PhotometricInterpretation=photometric, PixelPaddingValue=0
    )  # fmt: skip
    write(tmp_path / "a.dcm", source)
    for target, top in (("png", 65535), ("tif", 65535), ("jpg", 255)):
        done = sr(*BICUBIC, "a.dcm", "-f", target, "--json")
        assert done.returncode == 0, done.stderr
        assert {"window-applied", "metadata-dropped"} <= set(done.note_kinds)
        made = read_picture(tmp_path / f"a_x2.{target}").frames[0].pixels
        black, white = (0, top) if photometric == "MONOCHROME2" else (top, 0)
        assert abs(int(made[5, 20]) - black) <= top * 0.02
        assert abs(int(made[25, 20]) - white) <= top * 0.02
        assert made[32, 2] <= top * 0.02
        assert SECRET.encode() not in (tmp_path / f"a_x2.{target}").read_bytes()
        # In the middle of the window: 2 · 520 - 1000 = 40.
    shown = read_picture(tmp_path / "a.dcm", as_shown=True).frames[0].pixels
    assert shown.dtype == np.uint8
    middle = np.abs(pixels.astype(int) - 520) <= 2
    assert middle.any() and np.abs(shown[middle].astype(int) - 127).max() <= 3


def test_pictures_without_a_window_take_their_range(sr: Run, tmp_path: Path) -> None:
    source = slice_of(gray("int16", -700, 900), PixelPaddingValue=-2000)
    del source.WindowCenter, source.WindowWidth
    write(tmp_path / "a.dcm", source)
    done = sr(*BICUBIC, "a.dcm", "-f", "png", "--json")
    (note,) = [n for n in done.notes if n["kind"] == "values-narrowed"]
    pixels = gray("int16", -700, 900).astype(int) * 2 - 1000
    assert (note["low"], note["high"], note["top"]) == (pixels.min(), pixels.max(), 65535)
    assert Image.open(tmp_path / "a_x2.png").mode == "I;16"


@pytest.mark.parametrize(("depth", "stored"), [(8, "u1"), (8, "<u2"), (12, "<u2")])
@pytest.mark.parametrize("table", ["VOILUTSequence", "ModalityLUTSequence"])
def test_tables_are_applied_where_there_is_no_window(
    sr: Run, tmp_path: Path, depth: int, stored: str, table: str
) -> None:
    pixels = gray("uint16", 0, 4000)
    source = slice_of(pixels, stored=12)
    del source.WindowCenter, source.WindowWidth, source.RescaleSlope, source.RescaleIntercept
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, depth])
    item.add_new("LUTData", "OW", (np.arange(4096) >> (12 - depth)).astype(stored).tobytes())
    setattr(source, table, [item])
    if table == "ModalityLUTSequence":
        middle = (2**depth - 1) / 2
        source.WindowCenter, source.WindowWidth = middle, 2 * middle
        source.VOILUTFunction = "LINEAR_EXACT"
    write(tmp_path / "a.dcm", source)
    shown = read_picture(tmp_path / "a.dcm", as_shown=True).frames[0].pixels
    assert np.abs(shown - pixels / 4095 * 255).max() <= 1
    note = "voi-lut-applied" if table == "VOILUTSequence" else "window-applied"
    assert note in sr(*BICUBIC, "a.dcm", "-f", "png", "--json").note_kinds


def test_measurements_get_a_faithful_model(sr: Run, tmp_path: Path) -> None:
    write(tmp_path / "a.dcm", slice_of(gray()))
    content = (tmp_path / "a.dcm").read_bytes()
    assert holds_measurements(content) and read_size(content) == (24, 20)
    done = sr("upscale", "-x2", "a.dcm", "--verify", "--json")
    assert done.records[0]["model"] == "edsr-baseline" and "faithful-model" in done.note_kinds
    assert done.records[0]["deviation"]["largest"] < 20
    piped = sr("upscale", "-x2", "-", "-o", "b.dcm", input=content)
    assert piped.returncode == 0
    # By its content alone, too.
    (tmp_path / "IM1").write_bytes(content)
    assert sr("upscale", "-x2", "IM1").returncode == 0
    made = [pydicom.dcmread(tmp_path / n).pixel_array for n in ("a_x2.dcm", "b.dcm", "IM1_x2.dcm")]
    assert np.array_equal(made[0], made[1]) and np.array_equal(made[0], made[2])


def test_a_network_is_tuned_to_the_values_in_their_range(
    sr: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr_cli.engine import adapt

    seen, real = [], adapt.adapt_model

    def recorded(model: Any, image: Any, *rest: Any) -> Any:
        seen.append(image)
        return real(model, image, *rest)

    monkeypatch.setattr(adapt, "adapt_model", recorded)
    stored = gray("uint16", 0, 4000, 70, 72)
    write(tmp_path / "a.dcm", slice_of(stored, stored=12))
    done = sr("upscale", "a.dcm", "-m", "espcn", "-x2", "--adapt", "2", "-o", "b.dcm")
    assert done.returncode == 0, done.stderr
    (image,) = seen
    # 12 bits are stored: as they are, they would be a nearly black 16-bit image.
    assert np.allclose(image, stored / 4095, atol=1e-6)
