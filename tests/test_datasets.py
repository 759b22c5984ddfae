"""Test sets: by name, as folders, as pairs; and the table of published figures."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from helpers.images import smooth
from helpers.server import Server, cut, status
from PIL import Image

from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation import datasets
from sr_cli.evaluation.datasets import open_pairs, open_set, set_names
from sr_cli.imaging.names import pair_by_name
from sr_cli.store.remote import Remote


@pytest.fixture
def small_set(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """A set of three files, at the mirror."""
    files = {}
    for number in range(3):
        path = tmp_path / f"{number}.png"
        Image.fromarray(smooth(24, 24, seed=number)).save(path)
        files[f"img_{number}.png"] = path.read_bytes()
    table = {
        "Small": [
            (
                name,
                Remote(
                    f"https://example.org/s/{name}",
                    f"datasets/Small/{name}",
                    len(c),
                    hashlib.sha256(c).hexdigest(),
                ),
            )
            for name, c in files.items()
        ]
    }
    monkeypatch.setattr(datasets, "_known_sets", lambda: table)
    monkeypatch.setenv("SR_MIRROR", server.url)
    for name, content in files.items():
        server.put(f"/example.org/s/{name}", content)
    return files


def test_a_set_is_fetched_by_name_and_kept(
    server: Server, small_set: dict[str, bytes], tmp_path: Path
) -> None:
    server.faults["/example.org/s/img_1.png"] = [cut(20), status(503)]
    told: list[tuple[str, int, int]] = []
    found = open_set("small", on_file=lambda *event: told.append(event))
    assert told == [("Small", n, 3) for n in (1, 2, 3)]
    assert found.known and [i.name for i in found.images] == ["img_0", "img_1", "img_2"]
    asked = len(server.requests)
    open_set("Small")
    assert len(server.requests) == asked
    found.images[0].hr.write_bytes(b"tampered with")
    assert open_set("Small").images[0].hr.read_bytes() == small_set["img_0.png"]


def test_a_copy_of_ones_own_is_verified(small_set: dict[str, bytes], tmp_path: Path) -> None:
    own = tmp_path / "own" / "Small"
    own.mkdir(parents=True)
    for name, content in small_set.items():
        (own / name).write_bytes(content)
    assert len(open_set("Small", data_dir=own).images) == 3
    assert open_set("Small", data_dir=own).known
    assert len(open_set("Small", data_dir=own.parent).images) == 3
    copy = shutil.copytree(own, tmp_path / "small")
    assert open_set(str(own)).known, "a folder that is the set, file by file"
    assert (open_set(str(copy)).name, open_set(str(copy)).known) == ("Small", True)
    (own / "img_1.png").write_bytes(b"other")
    assert not open_set(str(own)).known
    with pytest.raises(SrError) as caught:
        open_set("Small", data_dir=own)
    assert (caught.value.code, caught.value.subject) == ("set-modified", str(own / "img_1.png"))
    (own / "img_1.png").unlink()
    with pytest.raises(SrError) as caught:
        open_set("Small", data_dir=own)
    assert (caught.value.code, caught.value.subject) == ("set-incomplete", str(own / "img_1.png"))
    assert not open_set(str(own)).known
    with pytest.raises(SrError) as caught:
        open_set("Small", data_dir=tmp_path)
    assert caught.value.code == "set-not-found"
    assert caught.value.facts == {"test_set": "Small", "example": "img_0.png"}


def test_a_copy_may_lie_in_a_folder_of_another_spelling(
    small_set: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets, "_ALIASES", {"tiny": "Small", "other": "Else"})
    assert datasets.canonical_name("TINY") == "Small" and datasets.canonical_name("smal") is None
    for folder, found in (("other", False), ("tiny", True)):
        (tmp_path / folder).mkdir()
        for name, content in small_set.items():
            (tmp_path / folder / name).write_bytes(content)
        if found:
            images = open_set("Small", data_dir=tmp_path).images
            assert images[0].hr == tmp_path / "tiny" / "img_0.png"
        else:
            with pytest.raises(SrError):
                open_set("Small", data_dir=tmp_path)


def test_unknown_sets_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        open_set("Set6")
    assert caught.value.code == "unknown-test-set"
    assert caught.value.facts["known"] == ["Set5", "Set14", "BSD100", "Urban100"]
    (tmp_path / "notes.txt").touch()
    (tmp_path / ".hidden.png").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(SrError) as failed:
        open_set(str(tmp_path))
    assert failed.value.code == "no-images-in-folder" and failed.value.subject == str(tmp_path)


def test_a_folder_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine" / "inner").mkdir(parents=True)
    Image.fromarray(smooth(8, 8)).save(tmp_path / "mine" / "a.png")
    monkeypatch.chdir(tmp_path / "mine" / "inner")
    assert open_set("..").name == open_set(str(tmp_path / "mine")).name == "mine"


def test_folders_in_pairs(tmp_path: Path) -> None:
    for folder, names in (("h", ("a.png", "b.png")), ("l", ("ax2.png", "bx2.png"))):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.fromarray(smooth(8, 8)).save(tmp_path / folder / name)
    image, _ = open_pairs(tmp_path / "h", tmp_path / "l", 2).images
    assert image.lr is not None and image.lr.name == "ax2.png"
    (tmp_path / "l" / "ax2.png").unlink()
    with pytest.raises(SrError, match="missing-partner"):
        open_pairs(tmp_path / "h", tmp_path / "l", 2)


def test_images_of_one_name_are_told_apart_by_their_endings(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "b.png"):
        Image.fromarray(smooth(8, 8)).save(tmp_path / name)
    found = open_set(str(tmp_path))
    assert [i.name for i in found.images] == ["a.bmp", "a.png", "b"] and not found.known
    with pytest.raises(SrError) as caught:
        open_pairs(tmp_path, tmp_path / "nowhere", 2)
    assert caught.value.code == "folder-not-found"


def test_sets_are_known_by_other_spellings() -> None:
    spelled = {"set5": "Set5", "SET14": "Set14", "b100": "BSD100", "BSDS100": "BSD100",
               "bsd100": "BSD100", "urban": "Urban100", "Urban100": "Urban100"}  # fmt: skip
    assert {name: datasets.canonical_name(name) for name in spelled} == spelled


def test_the_table_is_whole() -> None:
    assert set_names() == ["Set5", "Set14", "BSD100", "Urban100"]
    counts = {name: len(datasets._known_sets()[name]) for name in set_names()}
    assert counts == {"Set5": 5, "Set14": 14, "BSD100": 100, "Urban100": 100}
    for files in datasets._known_sets().values():
        for _, file in files:
            assert file.address.startswith("https://") and file.sha256 and len(file.sha256) == 64
            assert file.size


def test_the_shared_copies_are_the_files_of_the_table(test_sets: Path) -> None:
    for name in ("Set5", "Set14", "BSD100"):
        assert open_set(name, data_dir=test_sets).images


def test_published_figures_name_known_sets() -> None:
    document = json.loads((Path(datasets.__file__).parent / "data" / "published.json").read_text())
    for scales in document["figures"].values():
        for sets in scales.values():
            assert set(sets) <= set(set_names())


def test_pairs_in_folders_of_equal_names(tmp_path: Path) -> None:
    hr = [tmp_path / "hr" / a / f"{n}.png" for a in "ab" for n in "12"]
    lr = [tmp_path / "lr" / a / f"{n}x2.png" for a in "ab" for n in "12"]
    assert pair_by_name(hr, lr, 2) == list(zip(hr, lr, strict=True))
    with pytest.raises(SrError, match="ambiguous-pair"):
        pair_by_name([*hr, tmp_path / "hr" / "a" / "1_HR.png"], lr, 2)
