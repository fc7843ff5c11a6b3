"""Chips kept unpacked: the same bits as out of Parquet, for all who share them, and never half of one."""

import errno
import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from chip_factory import write_chips, write_kind_chips

from training import feeding
from training.data import unpacked
from training.data.batch import Turning
from training.data.batches import Trouble, batches
from training.data.store import ChipStore
from training.data.unpacked import Unpacked, place
from training.ranks import collectives
from training.ranks.collectives import World
from training.settings.config import TrainConfig

SIZE = 16
IS_MEMORY = unpacked.is_memory


@pytest.fixture
def chips(tmp_path):
    return write_chips(tmp_path / "chips", train=7, size=SIZE, per_file=2)


@pytest.fixture(autouse=True)
def kept_here(tmp_path, monkeypatch):
    folder = tmp_path / "kept"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    # Tests may have their folder in memory.
    monkeypatch.setattr(unpacked, "is_memory", lambda _: False)
    return folder


def keep(*stores):
    with place(len(stores[0]), sum(stores[0].chip_bytes)) as file:
        for store in stores:
            store.keep(file)


def same(found, expected):
    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.label, expected.label)


def test_what_one_has_read_the_others_need_not(chips, kept_here):
    plain, one, other = (ChipStore(chips, "train") for _ in range(3))
    expected = [plain[index] for index in range(7)]
    keep(one, other)
    assert not [*kept_here.iterdir()]  # no name that a killed training could leave
    for index in (3, 0, 6):
        same(one[index], expected[index])
    shutil.rmtree(chips / "split=train")
    for index in (3, 0, 6):
        same(other[index], expected[index])
        same(one[index], expected[index])


def test_kinds_too(tmp_path):
    folder = write_kind_chips(tmp_path / "kinds", train=[4, 0, 1, 255], size=SIZE)
    plain, store = (ChipStore(folder, "train", "classify") for _ in range(2))
    keep(store)
    for _ in range(2):
        for index in range(4):
            same(store[index], plain[index])


def test_batches_of_several_epochs_are_those_of_parquet_alone(chips):
    plain, store = ChipStore(chips, "train"), ChipStore(chips, "train")
    keep(store)
    plan = np.array([[4, 1, 6], [0, 2, -1], [5, 3, 0]])
    for epoch in (1, 2, 3):
        turning = Turning(seed=3, epoch=epoch)
        options = {"channels": "rgb", "scaling": "255", "turning": turning}
        found = batches(store, plan, **options, trouble=Trouble())
        expected = batches(plain, plan, **options, trouble=Trouble())
        for got, wanted in zip(found, expected, strict=True):
            np.testing.assert_array_equal(got[0], wanted[0])
            np.testing.assert_array_equal(got[1], wanted[1])


def test_a_chip_without_its_mark_is_not_there():
    """As one whose writer was killed, or is at it."""
    image, label = np.full(48, 7, np.uint8), np.full(16, 1, np.uint8)
    with place(4, 64) as file:
        kept = Unpacked(file, image=48, label=16)
        kept.write(2, image, label)
        content = bytearray(file.read_bytes())
        assert kept.read(0) is None  # a hole
        assert kept.read(3) is None  # beyond the end
        np.testing.assert_array_equal(kept.read(2)[0], image)
        np.testing.assert_array_equal(kept.read(2)[1], label)
        content[2 * 65] = 0
        file.write_bytes(content)
        assert kept.read(2) is None


def test_a_mark_without_all_of_its_chip_is_none():
    with place(4, 64) as file:
        kept = Unpacked(file, image=48, label=16)
        file.write_bytes(b"\x01" + bytes(30))
        assert kept.read(0) is None


def test_a_disk_that_has_not_twice_the_room_keeps_none(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 0, 2 * 10 * 101 - 1))
    with place(10, 100) as file:
        assert file is None
    with place(9, 100) as file:
        assert file.stat().st_mode & 0o077 == 0


def test_the_room_of_all_files_counts(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 0, 2 * (1010 + 300)))
    with place(10, 100, beside=300) as file:
        assert file is not None
    with place(10, 100, beside=301) as file:
        assert file is None


def test_memory_is_no_disk():
    if os.path.ismount("/dev/shm"):  # a tmpfs wherever it is mounted
        assert IS_MEMORY("/dev/shm")
    assert not IS_MEMORY("/proc")


def test_a_disk_that_fails_costs_time_only(chips, monkeypatch):
    plain, store = ChipStore(chips, "train"), ChipStore(chips, "train")
    keep(store)
    store[2]

    def fails(*_):
        raise OSError(errno.ESTALE, "Stale file handle")

    monkeypatch.setattr(os, "preadv", fails)
    same(store[2], plain[2])


def test_an_error_of_the_block_is_told():
    with pytest.raises(OSError, match="ours"), place(10**15, 10**6):
        raise OSError("ours")


def test_a_folder_that_is_not_there_keeps_none(monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nowhere/at/all")
    with place(10, 100) as file:
        assert file is None


def test_a_disk_that_others_fill_costs_time_only(disk, chips, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(disk.root))
    plain, store = ChipStore(chips, "train"), ChipStore(chips, "train")
    keep(store)
    disk.fill(leave=4096)
    for _ in range(2):
        for index in range(7):
            same(store[index], plain[index])


def test_a_file_of_another_user_is_refused(monkeypatch):
    with place(4, 64) as file:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        with pytest.raises(PermissionError, match="another user"):
            Unpacked(file, image=48, label=16)


@pytest.mark.parametrize(("host", "shared"), [("here", True), ("elsewhere", False)])
def test_ranks_of_a_machine_meet_in_one_file(chips, monkeypatch, host, shared):
    """Rank 1 takes the file of the first rank on its machine, and none of another machine's."""
    config = TrainConfig(chips=chips, out=chips / "model")
    monkeypatch.setattr(feeding, "machine", lambda: "here")
    monkeypatch.setattr(collectives, "agreeing", lambda _: nullcontext())
    first, second = ChipStore(chips, "train"), ChipStore(chips, "train")
    with place(len(first), sum(first.chip_bytes)) as file:
        first.keep(file)
        first[3]
        monkeypatch.setattr(
            collectives, "gathered", lambda own, _: [(host, 0, [str(file)]), ("here", 1, own[2])]
        )
        feeding.keep_unpacked(config, World(rank=1, size=2, local_rank=1, elastic=False), second)
    shutil.rmtree(chips / "split=train")
    if shared:
        same(second[3], first[3])
    else:
        with pytest.raises(Exception, match="cannot read chips"):
            second[3]


def test_who_wants_none_has_none(chips, monkeypatch):
    monkeypatch.setattr(collectives, "agreeing", lambda _: nullcontext())
    monkeypatch.setattr(collectives, "gathered", lambda own, _: [own])
    monkeypatch.setattr(feeding, "place", lambda *_: pytest.fail("a file was made"))
    store = ChipStore(chips, "train")
    config = TrainConfig(chips=chips, out=Path("model"), unpack=False)
    feeding.keep_unpacked(config, World(rank=0, size=1, local_rank=0, elastic=False), store)
    assert store._unpacked is None
