"""Names in folders by how they begin: as a plain listing says, also when a folder changes."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labeling.files import storage
from labeling.files.storage import named_like

NAMES = st.text("aAbBß.-_1", min_size=1, max_size=6).filter(lambda name: name.strip("."))


def plainly(folder, start):
    names = [path.name for path in folder.glob("*")] + [path.name for path in folder.glob(".*")]
    return sorted({name for name in names if name.casefold().startswith(start.casefold())})


@given(names=st.sets(NAMES, max_size=12), starts=st.lists(st.text("aAbBß.-_1", max_size=3), max_size=5))
def test_names_are_those_of_a_plain_listing(tmp_path_factory, names, starts):
    folder = tmp_path_factory.mktemp("names")
    for name in names:
        (folder / name).touch()
    for start in starts:
        assert named_like(folder, start) == plainly(folder, start)


@pytest.fixture
def settled(tmp_path):
    """A folder that changed long ago, and whose listing is kept."""
    for name in ("a.tif", "a.tif.msk", "b.tif"):
        (tmp_path / name).touch()
    os.utime(tmp_path, (1.0e9, 1.0e9))
    assert named_like(tmp_path, "a") == ["a.tif", "a.tif.msk"]
    return tmp_path


def test_a_folder_is_not_listed_for_each_of_its_files(settled, monkeypatch):
    monkeypatch.setattr(type(settled), "iterdir", None)  # whoever lists it, fails
    assert named_like(settled, "b") == ["b.tif"]


def test_what_is_new_is_found(settled):
    (settled / "a.tfw").touch()
    assert named_like(settled, "a") == ["a.tfw", "a.tif", "a.tif.msk"]
    (settled / "a.tif.msk").unlink()  # perhaps within the same tick of the clock
    assert named_like(settled, "a") == ["a.tfw", "a.tif"]


def test_what_is_kept_is_bounded(tmp_path):
    for number in range(40):
        folder = tmp_path / str(number)
        folder.mkdir()
        named_like(folder, "")
    assert len(storage._kept) <= storage._MOST_KEPT


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        named_like(tmp_path / "none", "a")
