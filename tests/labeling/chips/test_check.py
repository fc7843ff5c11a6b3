"""Folders of chips that are not what they seem: each is refused in a sentence, and a good one is quick."""

import json
import os
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chip_factory import write_chips
from hypothesis import given
from hypothesis import strategies as st

from labeling.chips.card import CHIP_SCHEMA, ChipTally, card_contents, held_file, read_card
from labeling.chips.check import _grounds, _meeting, check_chips, check_ground
from labeling.chips.ground import Ground, covered
from labeling.chips.places import Places
from labeling.errors import ConfigError
from labeling.files.atomic import write_json
from training.data.store import ChipStore


@pytest.fixture
def chips(tmp_path):
    return write_chips(tmp_path / "chips", train=6, val=3, test=3)


def marked(chips):
    """Give a folder's card the digests of its files, as jobs.label does; return the folder."""
    card, held = read_card(chips), []
    for file in sorted(chips.glob("split=*/*.parquet")):
        tally = ChipTally()
        for chip in pq.read_table(file).to_pylist():
            tally.add(chip["image"], chip["label"])
        split = file.parent.name.removeprefix("split=")
        held.append(held_file(file, tally.of(split, file.stem), (4096, 4096)))
    contents = card_contents(file.counted for file in held) | {"files": tuple(held)}
    write_json(chips / "chips.json", card.model_copy(update=contents).model_dump(mode="json"))
    return chips


def rewrite(file, change):
    """Write a file of chips anew with what `change` makes of its rows."""
    rows = change(pq.read_table(file).to_pylist())
    with pq.ParquetWriter(file, CHIP_SCHEMA) as writer:
        for row in rows:
            writer.write_table(pa.Table.from_pylist([row], CHIP_SCHEMA))


def edit_card(chips, **changed):
    card = chips / "chips.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | changed))


def first(chips, split="train"):
    return sorted(chips.glob(f"split={split}/*.parquet"))[0]


def swapped(rows):
    labels = [row["label"] for row in rows]
    return [row | {"label": label} for row, label in zip(rows, labels[1:] + labels[:1], strict=True)]


def coded(rows):
    return [row | {"label": b"\x07" * len(row["label"])} for row in rows]


def refused(chips, words):
    with pytest.raises(ConfigError, match=words) as told:
        check_chips(chips, read_card(chips))
    assert "jobs.label" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("digests", [True, False])
def test_good_chips_pass(chips, digests):
    check_chips(marked(chips) if digests else chips, read_card(chips))


@pytest.mark.parametrize("digests", [True, False])
@pytest.mark.parametrize("change", [swapped, coded])
def test_other_labels_under_the_old_digest_are_refused(chips, change, digests):
    if digests:
        marked(chips)
    rewrite(first(chips), change)
    refused(chips, "digest|label code 7")


@pytest.mark.parametrize("digests", [True, False])
@pytest.mark.parametrize(
    "changed",
    [
        {"digest": "0" * 64},
        {"class_pixels": {"train": [10**15, 0, 0], "val": [0, 0, 0], "test": [0, 0, 0]}},
        {"counts": {"train": 6, "val": 3, "test": 2}},
    ],
)
def test_a_card_that_says_something_else_is_refused(chips, changed, digests):
    if digests:
        marked(chips)
    edit_card(chips, **changed)
    refused(chips, r"chips\.json")


@pytest.mark.parametrize(
    "changed", [{"class_pixels": {"train": [-5, 0, 0], "val": [0, 0, 0], "test": [0, 0, 0]}}, {"size": 10**9}]
)
def test_a_card_that_cannot_be_is_refused(chips, changed):
    edit_card(chips, **changed)
    with pytest.raises(ConfigError, match=r"not a chip card this version can read: .*jobs\.label"):
        read_card(chips)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([None], pa.binary()),
        pa.array([[1, 2]], pa.list_(pa.int64())),
        pa.array([{"a": 1}], pa.struct([("a", pa.int64())])),
        pa.array(["text"], pa.string()),
    ],
)
def test_columns_of_other_types_are_refused(chips, column):
    table = pq.read_table(first(chips)).slice(0, 1)
    place = table.schema.get_field_index("label")
    pq.write_table(table.set_column(place, pa.field("label", column.type), column), first(chips))
    edit_card(chips, counts={"train": 4, "val": 3, "test": 3})
    refused(chips, "other columns or types")


def test_a_file_that_is_none_is_refused(chips):
    first(chips).write_bytes(b"no parquet")
    refused(chips, "cannot read chips from")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: [row | {"row": 0, "column": 0} for row in rows], "twice"),
        (lambda rows: [row | {"row": 4000} for row in rows[:1]] + rows[1:], "outside the scene"),
        (lambda rows: [row | {"row": -32} for row in rows[:1]] + rows[1:], "outside the scene"),
    ],
)
def test_places_that_cannot_be_are_refused(chips, change, words):
    rewrite(first(chips), change)
    with pytest.raises(ConfigError, match=words):
        check_ground(chips, read_card(chips), {first(chips).stem: (4000, 4000)})


def placed(rows, left):
    """Put chips side by side in the Ross Sea, from `left`, metres."""
    return [row | {"crs": "EPSG:3031", "transform": [10, 0, left, 0, -10, -10 * row["row"]]} for row in rows]


def test_ground_that_two_splits_show_is_refused_whatever_the_scene_is_called(chips):
    rewrite(first(chips), lambda rows: placed(rows, 0))
    rewrite(first(chips, "test"), lambda rows: placed(rows, 300))
    refused(chips, r"chip\(s\) of train .* show ground that test chips show too")
    rewrite(first(chips, "test"), lambda rows: placed(rows, 320))
    check_chips(chips, read_card(chips))


def test_a_scene_that_gives_one_place_to_two_splits_is_refused(chips):
    source, target = first(chips), chips / "split=val" / first(chips).name
    target.write_bytes(source.read_bytes())
    edit_card(chips, counts={"train": 6, "val": 6, "test": 3})
    refused(chips, "show ground that val chips show too")


def test_ten_thousand_chips_take_less_than_a_second(tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "chips/split=train"
    folder.mkdir(parents=True)
    image, label = rng.integers(0, 255, 3 * 32 * 32, np.uint8).tobytes(), bytes(32 * 32)
    row = {
        "group": "a", "crs": "EPSG:3031", "image": image, "label": label, "ignore_fraction": 0.0,
        "class_fractions": [1.0, 0.0, 0.0],
    }  # fmt: skip
    held = []
    for scene in range(4):
        file, tally = folder / f"s{scene}.parquet", ChipTally()
        with pq.ParquetWriter(file, CHIP_SCHEMA) as writer:
            for index in range(2500):
                place = {"scene_id": file.stem, "row": 32 * (index // 50), "column": 32 * (index % 50)}
                place["transform"] = [10, 0, 1e6 * scene + 10 * place["column"], 0, -10, -10 * place["row"]]
                writer.write_table(pa.Table.from_pylist([row | place], CHIP_SCHEMA))
                tally.add(image, label)
        held.append(held_file(file, tally.of("train", file.stem), (1600, 1600)))
    card = read_card(write_chips(tmp_path / "other"))
    contents = card_contents(file.counted for file in held) | {"files": tuple(held), "size": 32}
    started = time.perf_counter()
    check_chips(tmp_path / "chips", card.model_copy(update=contents))
    assert time.perf_counter() - started < 5  # 0.3 s on a quiet machine


def test_chips_that_lie_elsewhere_than_their_rows_say_are_refused(chips):
    rewrite(first(chips), lambda rows: [placed(rows, 0)[0], *placed(rows[1:], 5000)])
    refused(chips, "lies elsewhere on the ground")


def test_scenes_of_one_datatake_in_two_splits_are_refused(chips):
    for split in ("train", "test"):
        rewrite(first(chips, split), lambda rows: [row | {"group": "GS2A_20191103"} for row in rows])
    refused(chips, "has chips of GS2A_20191103 in train and in test")


@pytest.mark.parametrize("name", ["..", ".x.part", "../../x", "a/b"])
def test_ids_that_lead_elsewhere_are_refused(chips, name):
    marked(chips)
    card = json.loads((chips / "chips.json").read_text())
    changed = card | {"scenes": card["scenes"] | {"test": [name]}}
    (chips / "chips.json").write_text(json.dumps(changed))
    with pytest.raises(ConfigError, match=r"scenes\.test.*can be no scene's id"):
        read_card(chips)
    card["files"][0]["scene_id"] = name
    (chips / "chips.json").write_text(json.dumps(card))
    with pytest.raises(ConfigError, match=r"files\.0\.scene_id.*can be no scene's id"):
        read_card(chips)


def test_a_file_of_chips_that_no_id_names_is_refused(chips):
    file = next(chips.glob("split=train/*.parquet"))
    rewrite(file, lambda rows: [row | {"scene_id": ".."} for row in rows])
    file.rename(file.with_name("...parquet"))
    with pytest.raises(ConfigError, match="is not named by a scene's id"):
        check_ground(chips, read_card(chips), {})


def bombed(file, column, size):
    """Let a chip of a file have a value of so many zeros, which pack to nearly nothing."""
    rows = pq.read_table(file).to_pylist()
    kind = CHIP_SCHEMA.field(column).type
    rows[0][column] = bytes(size) if kind == pa.binary() else "0" * size
    with pq.ParquetWriter(file, CHIP_SCHEMA, compression="zstd") as writer:
        for row in rows:
            writer.write_table(pa.Table.from_pylist([row], CHIP_SCHEMA))
    return file


@pytest.mark.parametrize("column", ["image", "label", "crs", "group"])
@pytest.mark.parametrize(
    "read", [lambda chips: check_chips(chips, read_card(chips)), lambda c: ChipStore(c, "train")]
)
def test_a_chip_that_unpacks_to_more_than_its_pixels_is_never_read(chips, column, read):
    file = bombed(first(chips), column, 1 << 28)
    assert file.stat().st_size < 1 << 20
    before = pa.total_allocated_bytes()
    with pytest.raises(ConfigError, match=r"says that chip 0 takes 2684\d+ bytes; .* at most"):
        read(chips)
    assert pa.total_allocated_bytes() - before < 1 << 20


def test_a_pipe_among_chips_keeps_nobody_waiting(chips):
    os.mkfifo(chips / "split=train/zzz.parquet")
    for read in (lambda: check_chips(chips, read_card(chips)), lambda: ChipStore(chips, "train")):
        with pytest.raises(ConfigError, match=r"zzz\.parquet: .*it is no file, but a pipe"):
            read()


spots = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=5, unique=True)
scenes_of_a_split = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 4000), spots), max_size=6)


@given(scenes_of_a_split, scenes_of_a_split, st.sampled_from(["EPSG:3031", "EPSG:32758"]))
def test_shared_ground_is_that_of_all_chips_with_all_others(train, test, crs):
    size = 16

    def part(split, scenes, crs):
        for number, (east, south, corners) in enumerate(scenes):
            rows, columns = np.array(corners, np.int64).T * 9
            left, top = (
                (300_000 + east, 1_600_000 - south) if crs != "EPSG:3031" else (east, -1_500_000 - south)
            )
            ground = Ground(crs, (10.0, 0.0, left, 0.0, -10.0, top), size, size)
            yield Places(split, f"{split}{number}", None, rows, columns, ground, frozenset())

    first, second = [*part("train", train, "EPSG:3031")], [*part("test", test, crs)]
    grounds = [_grounds(places, size) for places in (first, second)]
    plainly = int(covered(*grounds).sum()) if all(grounds) else 0
    nearby = [_grounds(places, size) for places in _meeting(first, second, size)]
    assert (int(covered(*nearby).sum()) if all(nearby) else 0) == plainly
