"""Chips: what is in them is what lies in the scene and its labels, and splits share no ground."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from conftest import patchwork, planar
from pictures import ROSS_SEA, read_labels, write_png, write_tif
from rasterio.transform import from_origin

import pipelines.chips
import pipelines.label as label_job
from labeling.chips.card import SPLITS, ChipTally, card_contents, read_card, split_files
from labeling.errors import ConfigError
from labeling.files.marks import mark_of
from pipelines.config import LabelConfig

pytestmark = pytest.mark.slow


def make_run(folder: Path, shapes, *, size=64, **options):
    for place, (name, (height, width)) in enumerate(shapes.items()):
        rgb = planar(patchwork(height, width, seed=ord(name[0])))
        write_tif(
            folder / f"scenes/{name}.tif", rgb, transform=from_origin(200_000 + 10_000 * place, 0, 10, 10)
        )
    config = LabelConfig(
        scenes=[str(folder / "scenes")], out=folder / "run", outputs=["labels", "chips"],
        chips={"size": size, **options}, spark={"master": "local[2]"},
    )  # fmt: skip
    assert label_job.run(config).failures == ()
    return folder / "run"


def read_chips(run: Path, split):
    return [row for file in split_files(run / "chips", split) for row in pq.read_table(file).to_pylist()]


@pytest.fixture(scope="module")
def four_scenes(tmp_path_factory):
    shapes = {"a": (200, 260), "b": (130, 128), "c": (256, 256), "d": (70, 64)}
    return make_run(tmp_path_factory.mktemp("chips"), shapes)


def test_scenes_never_share_a_split(four_scenes):
    card = read_card(four_scenes / "chips")
    assert card.split_by == "scene"
    assert card.cut_points == (30, 204)
    owners = [{row["scene_id"] for row in read_chips(four_scenes, split)} for split in SPLITS]
    assert set.union(*owners) == {"a", "b", "c", "d"}
    assert sum(map(len, owners)) == 4
    assert [sorted(owner) for owner in owners] == [card.scenes[split] for split in SPLITS]


def test_the_mark_of_the_folder_is_that_of_its_files(four_scenes):
    chips = four_scenes / "chips"
    outputs = json.loads((chips / "done.json").read_text())["outputs"]
    files = [path for path in chips.rglob("*") if path.is_file() and path.name != "done.json"]
    assert outputs == {str(file.relative_to(chips)): mark_of(file) for file in files}


@pytest.mark.parametrize("master", ["local[1]", "local[2]"])
def test_scenes_in_batches_give_the_same_labels_and_chips(four_scenes, tmp_path, monkeypatch, master):
    for module in (label_job, pipelines.chips):
        monkeypatch.setattr(module, "batch_size", lambda _: 1)
    config = LabelConfig(
        scenes=[str(four_scenes.parent / "scenes")], out=tmp_path / "run", outputs=["labels", "chips"],
        chips={"size": 64}, spark={"master": master},
    )  # fmt: skip
    assert label_job.run(config) == (4, ())
    for name in "abcd":
        assert np.array_equal(read_labels(tmp_path / "run", name), read_labels(four_scenes, name))
    assert read_card(tmp_path / "run/chips").digest == read_card(four_scenes / "chips").digest


def test_chips_hold_the_scenes_pixels_labels_and_place(four_scenes):
    scenes = four_scenes.parent / "scenes"
    count = 0
    for split in SPLITS:
        for chip in read_chips(four_scenes, split):
            place = slice(chip["row"], chip["row"] + 64), slice(chip["column"], chip["column"] + 64)
            with rasterio.open(scenes / f"{chip['scene_id']}.tif") as scene:
                rgb = scene.read()[:, *place].transpose(1, 2, 0)
                corner = scene.xy(chip["row"], chip["column"], offset="ul")
            labels = read_labels(four_scenes, chip["scene_id"])[place]
            np.testing.assert_array_equal(np.frombuffer(chip["image"], np.uint8).reshape(64, 64, 3), rgb)
            np.testing.assert_array_equal(np.frombuffer(chip["label"], np.uint8).reshape(64, 64), labels)
            assert (chip["transform"][2], chip["transform"][5]) == corner
            assert chip["class_fractions"] == pytest.approx([(labels == c).mean() for c in range(3)])
            assert ROSS_SEA["crs"].removeprefix("EPSG:") in chip["crs"]
            count += 1
    assert count == 12 + 4 + 16 + 1


def test_digest_is_that_of_the_files(four_scenes):
    files = []
    for split in SPLITS:
        for file in split_files(four_scenes / "chips", split):
            tally = ChipTally()
            for chip in pq.read_table(file).to_pylist():
                tally.add(chip["image"], chip["label"])
            files.append(tally.of(split, file.stem))
    card = read_card(four_scenes / "chips")
    assert card_contents(files) == card.model_dump(include=card_contents(files).keys())


def test_card_counts_what_is_there(four_scenes):
    card = read_card(four_scenes / "chips")
    for split in SPLITS:
        chips = read_chips(four_scenes, split)
        assert card.counts[split] == len(chips)
        labels = np.concatenate([np.frombuffer(chip["label"], np.uint8) for chip in chips])
        assert list(card.class_pixels[split]) == np.bincount(labels, minlength=256)[:3].tolist()


def test_one_chip_a_row_group(four_scenes):
    for split in SPLITS:
        for file in split_files(four_scenes / "chips", split):
            metadata = pq.read_metadata(file)
            assert metadata.num_row_groups == metadata.num_rows


def test_digest_tells_the_same_chips_from_others(tmp_path, four_scenes):
    shapes = {"a": (200, 260), "b": (130, 128), "c": (256, 256), "d": (70, 64)}
    same = read_card(make_run(tmp_path / "same", shapes) / "chips")
    other = read_card(make_run(tmp_path / "other", shapes | {"d": (70, 128)}) / "chips")
    assert same.digest == read_card(four_scenes / "chips").digest
    assert other.digest != same.digest


def test_one_scene_is_split_by_blocks_with_a_gap(tmp_path):
    run = make_run(tmp_path, {"a": (64 * 8, 64 * 8)})
    card = read_card(run / "chips")
    assert (card.split_by, card.gap) == ("block", 64)
    assert "not how it does on a new one" in card.note
    assert all(card.counts[split] > 0 for split in SPLITS)
    places = {s: np.array([(c["row"], c["column"]) for c in read_chips(run, s)]) for s in SPLITS}
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        apart = np.abs(places[one][:, None] - places[other][None]).max(axis=2)
        assert apart.min() >= 128


def test_chips_are_redone_only_when_something_changed(tmp_path):
    run = make_run(tmp_path, {"a": (130, 130)})
    mark = run / "chips/done.json"
    before = mark.stat().st_mtime_ns
    make_run_again = LabelConfig(
        scenes=[str(tmp_path / "scenes")], out=run, outputs=["chips"], chips={"size": 64},
        spark={"master": "local[2]"},
    )  # fmt: skip
    label_job.run(make_run_again)
    assert mark.stat().st_mtime_ns == before
    label_job.run(
        make_run_again.model_copy(update={"chips": make_run_again.chips.model_copy(update={"size": 32})})
    )
    assert read_card(run / "chips").size == 32
    assert json.loads(mark.read_text())["inputs"]["settings"]["size"] == 32


def test_mostly_ignored_chips_are_left_out(tmp_path):
    rgb = planar(patchwork(128, 128))
    rgb[:, :, 70:] = 0
    write_tif(tmp_path / "scenes/a.tif", rgb, nodata=0)
    config = LabelConfig(
        scenes=[str(tmp_path / "scenes")], out=tmp_path / "run", outputs=["chips"],
        chips={"size": 64, "max_ignore": 0.5}, spark={"master": "local[2]"},
    )  # fmt: skip
    label_job.run(config)
    assert sum(read_card(tmp_path / "run/chips").counts.values()) == 2


def test_folder_without_chips_says_how_to_make_some(tmp_path):
    with pytest.raises(ConfigError, match=r"jobs\.label"):
        read_card(tmp_path)


def tiles(folder: Path, count, *, side=256, step=64):
    """Write pictures of one piece of ground that overlap, under the names of tiles."""
    whole = planar(patchwork(side + step * count, side + step * count, seed=3))
    for index in range(count):
        down, right = step // 2 * (index // 2), step * (index % 2)
        place = from_origin(200_000 + 10 * right, -1_500_000 - 10 * down, 10, 10)
        cut = np.ascontiguousarray(whole[:, down : down + side, right : right + side])
        write_tif(folder / f"T5{index}CDU.tif", cut, transform=place)
    return folder


def label_chips(scenes, out, *, size=32, **options):
    config = LabelConfig(
        scenes=[str(scene) for scene in scenes], out=out, outputs=["labels", "chips"],
        chips={"size": size, **options}, spark={"master": "local[2]"},
    )  # fmt: skip
    return label_job.run(config)


def ground_cells(run: Path, split):
    """Return the ground of a split's chips, in squares of one pixel's side times 32, whatever their scene."""
    return [(chip["transform"][2] / 10, chip["transform"][5] / 10) for chip in read_chips(run, split)]


def test_overlapping_scenes_are_one_group_and_their_blocks_keep_apart(tmp_path):
    assert label_chips([tiles(tmp_path / "scenes", 6)], tmp_path / "run").failures == ()
    card = read_card(tmp_path / "run/chips")
    assert card.split_by == "block"
    assert "6 scene(s) in 1 group(s)" in card.note
    places = {split: np.array(ground_cells(tmp_path / "run", split)) for split in SPLITS}
    assert all(len(found) for found in places.values())
    for one, other in (("train", "val"), ("train", "test"), ("val", "test")):
        apart = np.abs(places[one][:, None] - places[other][None]).max(axis=2)
        assert apart.min() >= 64  # a chip of 32 pixels between


def test_scenes_of_one_name_are_not_one_scene(tmp_path):
    for index in range(4):
        own = from_origin(200_000 + 10_000 * index, 0, 10, 10)
        rgb = planar(patchwork(64, 64, seed=index))
        write_tif(tmp_path / f"scenes/{index}/visual.tif", rgb, transform=own)
    assert label_chips(sorted((tmp_path / "scenes").glob("*/visual.tif")), tmp_path / "run").failures == ()
    card = read_card(tmp_path / "run/chips")
    assert card.split_by == "scene"
    assert len({name for names in card.scenes.values() for name in names}) == 4


def test_a_copy_without_a_place_is_no_other_scene(tmp_path):
    for name, seed in (("a", 1), ("b", 2), ("copy", 1)):
        write_png(tmp_path / f"scenes/{name}.png", patchwork(64, 64, seed=seed))
    assert label_chips([tmp_path / "scenes"], tmp_path / "run", size=16).failures == ()
    note = read_card(tmp_path / "run/chips").note
    assert "3 scene(s) in 2 group(s)" in note
    assert "do not say where they lie" in note


def test_a_run_without_a_chip_says_why_and_what_helps(tmp_path):
    write_tif(tmp_path / "a.tif", planar(patchwork(100, 120)))
    outcome = label_chips([tmp_path / "a.tif"], tmp_path / "run", size=256)
    assert outcome.exit_code == 3
    assert "100 rows x 120 columns hold no chip of 256" in outcome.failures[0].reason
    assert "--chip-size 64" in outcome.failures[0].reason
    assert label_chips([tmp_path / "a.tif"], tmp_path / "run", size=64).failures == ()


def test_chips_of_a_file_that_was_deleted_are_made_again(tmp_path):
    run = make_run(tmp_path, {"a": (256, 256)}, size=32)
    [file] = split_files(run / "chips", "train")
    before = file.read_bytes()
    file.unlink()
    label_chips([tmp_path / "scenes"], run)
    assert file.read_bytes() == before


@pytest.mark.parametrize("change", ["zeroed", "another size", "another code"])
def test_labels_that_were_changed_are_made_again(tmp_path, change):
    run = make_run(tmp_path, {"a": (128, 128)}, size=32)
    file = run / "labels/a/labels.tif"
    before = file.read_bytes()
    with rasterio.open(file) as raster:
        profile, codes = raster.profile, raster.read()
    if change == "another size":
        profile |= {"height": 64}
    with rasterio.open(file, "w", **profile) as raster:
        raster.write({"zeroed": 0 * codes, "another code": 0 * codes + 7}.get(change, codes[:, :64]))
    label_chips([tmp_path / "scenes"], run)
    assert file.read_bytes() == before


def test_scenes_in_another_order_are_not_cut_again(tmp_path):
    run = make_run(tmp_path, {"a": (64, 64), "b": (64, 64), "c": (64, 64)})
    before = (run / "chips/done.json").stat().st_mtime_ns
    scenes = [str(tmp_path / f"scenes/{name}.tif") for name in "cab"]
    config = LabelConfig(
        scenes=scenes, out=run, outputs=["labels", "chips"], chips={"size": 64}, spark={"master": "local[2]"}
    )
    assert label_job.run(config) == (3, ())
    assert (run / "chips/done.json").stat().st_mtime_ns == before
