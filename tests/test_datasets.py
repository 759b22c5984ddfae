"""Test sets: by name, as folders, as pairs; and the table of published figures."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from conftest import smooth
from faults import Server, cut, status
from PIL import Image
from sr_cli.store.download import Remote

from sr_cli.errors import RefusedError, SrError
from sr_cli.evaluation import datasets
from sr_cli.evaluation.datasets import open_set, paired_set, set_names
from sr_cli.imaging.names import pair_by_name

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


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
                Remote(f"https://example.org/s/{name}", len(c), hashlib.sha256(c).hexdigest()),
            )
            for name, c in files.items()
        ]
    }
    monkeypatch.setattr(datasets, "_table", lambda: table)
    monkeypatch.setenv("SR_MIRROR", server.url)
    for name, content in files.items():
        server.put(f"/example.org/s/{name}", content)
    return files


def test_a_set_is_fetched_by_name_and_kept(
    server: Server, small_set: dict[str, bytes], tmp_path: Path
) -> None:
    server.faults["/example.org/s/img_1.png"] = [cut(20), status(503)]
    found = open_set("small")
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
    assert len(open_set("Small", data_dir=own.parent).images) == 3
    (own / "img_1.png").write_bytes(b"other")
    with pytest.raises(SrError, match="sha256"):
        open_set("Small", data_dir=own)
    (own / "img_1.png").unlink()
    with pytest.raises(SrError, match="missing"):
        open_set("Small", data_dir=own)
    with pytest.raises(SrError, match="holds no Small"):
        open_set("Small", data_dir=tmp_path)


def test_unknown_sets_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(RefusedError) as caught:
        open_set("Set6")
    assert "Set5, Set14, BSD100, Urban100" in str(caught.value.hint)
    with pytest.raises(SrError, match="no pictures"):
        open_set(str(tmp_path))


def test_a_folder_has_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine" / "inner").mkdir(parents=True)
    Image.fromarray(smooth(8, 8)).save(tmp_path / "mine" / "a.png")
    monkeypatch.chdir(tmp_path / "mine" / "inner")
    assert open_set("..").name == open_set(str(tmp_path / "mine")).name == "mine"


def test_folders_in_pairs(tmp_path: Path) -> None:
    for folder, name in (("h", "a.png"), ("l", "ax2.png")):
        (tmp_path / folder).mkdir()
        Image.fromarray(smooth(8, 8)).save(tmp_path / folder / name)
    (image,) = paired_set(tmp_path / "h", tmp_path / "l", 2).images
    assert image.lr is not None and image.lr.name == "ax2.png"
    (tmp_path / "l" / "ax2.png").unlink()
    with pytest.raises(SrError, match="missing-partner"):
        paired_set(tmp_path / "h", tmp_path / "l", 2)


def test_the_table_is_whole() -> None:
    assert set_names() == ["Set5", "Set14", "BSD100", "Urban100"]
    counts = {name: len(datasets._table()[name]) for name in set_names()}
    assert counts == {"Set5": 5, "Set14": 14, "BSD100": 100, "Urban100": 100}
    for files in datasets._table().values():
        for _, file in files:
            assert file.url.startswith("https://") and file.sha256 and len(file.sha256) == 64
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
