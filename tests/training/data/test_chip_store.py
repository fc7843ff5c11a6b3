import gc
import json
import threading

import numpy as np
import pytest
from chip_factory import write_chips, write_kind_chips

from labeling.classes import IGNORE
from labeling.errors import ConfigError
from training.data.augment import augmented
from training.data.batch import Turning, View, make_batch
from training.data.batches import Trouble, batches
from training.data.feeders import AHEAD
from training.data.store import Chip, ChipStore


def test_every_chip_comes_back_as_it_was_written(tmp_path):
    store = ChipStore(write_chips(tmp_path, train=7, size=16), "train")
    twin = ChipStore(write_chips(tmp_path / "one-file", train=7, size=16, per_file=100), "train")
    assert len(store) == len(twin) == 7
    for index in range(7):
        assert store[index].image.shape == (16, 16, 3)
        np.testing.assert_array_equal(store[index].image, twin[index].image)
        np.testing.assert_array_equal(store[index].label, twin[index].label)
    assert len({store[index].image.tobytes() for index in range(7)}) == 7


def test_a_folder_without_chips_is_named_with_the_way_out(tmp_path):
    with pytest.raises(ConfigError, match=r"python -m jobs\.label"):
        ChipStore(tmp_path, "train")


def test_files_that_do_not_fit_the_card_are_named(tmp_path):
    write_chips(tmp_path, train=7, size=16)
    (tmp_path / "split=train" / "train-scene-001.parquet").unlink()
    with pytest.raises(ConfigError, match=r"holds 4 chips, chips.json says 7"):
        ChipStore(tmp_path, "train")


def test_a_damaged_file_is_named(tmp_path):
    write_chips(tmp_path, train=7, size=16)
    (tmp_path / "split=train" / "train-scene-001.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ConfigError, match="train-scene-001"):
        ChipStore(tmp_path, "train")


def test_chips_of_another_size_than_the_card_says_are_named(tmp_path):
    card = json.loads((write_chips(tmp_path, size=16) / "chips.json").read_text())
    (tmp_path / "chips.json").write_text(json.dumps(card | {"size": 32}))
    with pytest.raises(ConfigError, match="not 32 x 32 pixels"):
        ChipStore(tmp_path, "train")[0]


def test_a_batch_is_chips_in_order_and_empty_ones_beyond_the_end(tmp_path):
    store = ChipStore(write_chips(tmp_path, train=3, size=16), "train")
    found = make_batch(store, np.array([2, 0, -1]), View("rgb", "255"))
    np.testing.assert_array_equal(found.images[0], store[2].image)
    assert found.images.dtype == np.uint8
    np.testing.assert_array_equal(found.labels[1], store[0].label)
    assert (found.labels[2] == IGNORE).all()


def test_the_dataset_yields_the_plans_batches(tmp_path):
    store = ChipStore(write_chips(tmp_path, train=5, size=16), "train")
    plan = np.array([[4, 1], [0, -1]])
    turning = Turning(seed=3, epoch=1)
    found = list(batches(store, plan, channels="grey", scaling="255", trouble=Trouble(), turning=turning))
    assert len(found) == 2
    for (images, labels), indices in zip(found, plan, strict=True):
        expected = make_batch(store, indices, View("grey", "255", turning))
        np.testing.assert_array_equal(images, expected.images)
        np.testing.assert_array_equal(labels, expected.labels)


@pytest.mark.parametrize("channels", ["rgb", "grey"])
def test_an_empty_share_gives_empty_batches(tmp_path, channels):
    store = ChipStore(write_chips(tmp_path, train=5, size=16), "train")
    plan = np.empty((3, 0), np.int64)
    found = list(batches(store, plan, channels=channels, scaling="255", trouble=Trouble()))
    shapes = [(tuple(images.shape), tuple(labels.shape)) for images, labels in found]
    assert shapes == [((0, 16, 16, 3 if channels == "rgb" else 1), (0, 16, 16))] * 3


def test_chips_are_read_as_they_are_needed(tmp_path):
    class Counting(ChipStore):
        read = 0

        def __getitem__(self, index):
            self.read += 1
            return super().__getitem__(index)

    store = Counting(write_chips(tmp_path, train=40, size=16), "train")
    plan = np.arange(40).reshape(20, 2)
    feed = iter(batches(store, plan, channels="rgb", scaling="255", trouble=Trouble()))
    for taken in range(1, 4):
        next(feed)
        # Those that were taken, those made ahead, and the one being made.
        assert 2 * taken <= store.read <= 2 * (taken + AHEAD + 1)


def test_a_feed_that_is_left_ends_its_threads(tmp_path):
    store = ChipStore(write_chips(tmp_path, train=40, size=16), "train")
    before = threading.active_count()
    feed = batches(store, np.arange(40).reshape(20, 2), channels="rgb", scaling="255", trouble=Trouble())
    next(feed)
    assert threading.active_count() > before
    feed.close()
    gc.collect()
    assert threading.active_count() == before


def test_what_no_rank_expects_is_raised_where_the_batch_is_asked_for(tmp_path):
    class Broken(ChipStore):
        def __getitem__(self, index):
            raise RuntimeError("unexpected")

    store = Broken(write_chips(tmp_path, train=4, size=16), "train")
    feed = batches(store, np.arange(4).reshape(2, 2), channels="rgb", scaling="255", trouble=Trouble())
    with pytest.raises(RuntimeError, match="unexpected"):
        next(feed)


KINDS = [4, 0, 1, 255, 3, 2, 3]


def test_to_classify_a_chips_label_is_its_kind(tmp_path):
    chips = write_kind_chips(tmp_path, train=KINDS, size=16)
    store, pictures = ChipStore(chips, "train", "classify"), ChipStore(chips, "train")
    assert store.label_shape == store.empty().label.shape == (1, 1)
    assert [int(store[index].label[0, 0]) for index in range(7)] == KINDS
    assert store.class_counts == (1, 1, 1, 2, 1)
    assert pictures.class_counts == pictures.card.class_pixels["train"]
    for index in range(7):
        np.testing.assert_array_equal(store[index].image, pictures[index].image)
        turned = augmented(store[index], seed=1, epoch=2, index=index)
        np.testing.assert_array_equal(turned.label, store[index].label)


def test_the_dataset_yields_kinds_and_none_for_an_empty_chip(tmp_path):
    store = ChipStore(write_kind_chips(tmp_path, train=KINDS, size=16), "train", "classify")
    plan = np.array([[4, 1], [0, -1]])
    found = list(batches(store, plan, channels="rgb", scaling="255", trouble=Trouble()))
    np.testing.assert_array_equal([np.ravel(labels) for _, labels in found], [[3, 0], [4, IGNORE]])


def test_an_unreadable_chip_is_told_and_the_batches_go_on_empty(tmp_path):
    store = ChipStore(write_chips(tmp_path, train=6, size=16, per_file=2), "train")
    (tmp_path / "split=train" / "train-scene-001.parquet").write_bytes(b"gone")
    trouble = Trouble()
    plan = np.arange(6).reshape(3, 2)
    options = {"channels": "rgb", "scaling": "255", "trouble": trouble}
    found = [labels for _, labels in batches(store, plan, **options)]
    np.testing.assert_array_equal(found[0][0], store[0].label)
    assert all((labels.numpy() == IGNORE).all() for labels in found[1:])
    assert len(found) == 3
    assert "train-scene-001" in str(trouble.error)


def test_a_fingerprint_is_that_of_the_content_and_not_of_the_place(tmp_path):
    folders = [
        write_chips(tmp_path / name, train=5, size=16, seed=seed)
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    found = [ChipStore(folder, "train").fingerprint for folder in folders]
    assert found[0] == found[1] != found[2]
    (folders[1] / "split=train" / "train-scene-001.parquet").unlink()
    card = json.loads((folders[1] / "chips.json").read_text())
    card["counts"]["train"] = 3
    (folders[1] / "chips.json").write_text(json.dumps(card))
    assert ChipStore(folders[1], "train").fingerprint != found[0]


def test_turning_moves_picture_and_label_together_into_all_eight_poses():
    label = np.arange(16, dtype=np.uint8).reshape(4, 4)
    chip = Chip(image=np.repeat(label[..., None], 3, axis=-1), label=label)
    poses = set()
    for index in range(100):
        turned = augmented(chip, seed=1, epoch=2, index=index)
        np.testing.assert_array_equal(turned.image[..., 0], turned.label)
        np.testing.assert_array_equal(turned.label, augmented(chip, seed=1, epoch=2, index=index).label)
        poses.add(turned.label.tobytes())
    assert len(poses) == 8
