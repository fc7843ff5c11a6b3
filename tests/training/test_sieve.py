import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from chip_factory import write_chips, write_kind_chips
from model_factory import KINDS, write_model

import jobs.sieve
from jobs.sieve import main
from labeling.chips.card import SPLITS, read_card, split_files
from labeling.chips.kinds import ChipKind
from labeling.errors import ConfigError, ModelError
from labeling.settings import load_settings
from training.data.files import pixels, records
from training.data.store import ChipStore
from training.predict import Predictor
from training.sieve import SieveConfig, run

TRAIN = [0, 4, 1, 4, 4, 3, 2, 0, 3, 4, 0]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Return a run folder with chips and a model of their kinds."""
    folder = tmp_path_factory.mktemp("run")
    write_kind_chips(folder / "chips", train=TRAIN, val=[4, 0], test=[4, 1, 4, 4], size=16)
    write_model(folder / "kinds", width=4, **KINDS)
    (folder / "catalog.parquet").touch()
    return folder


@pytest.fixture
def knows(monkeypatch):
    """Let the model be one that is always right: it sees the picture's tint and brightness."""

    def predict(self, images):
        assert len(images) <= self.batch
        red, blue = images[..., 0].mean(axis=(1, 2)), images[..., 2].mean(axis=(1, 2))
        mixed = images.std(axis=(1, 2, 3)) > 30
        surface = np.searchsorted([60, 170], red)
        codes = np.where(blue > red + 20, ChipKind.CLOUD, np.where(mixed, ChipKind.MIXED, surface))
        return np.eye(5, dtype=np.float32)[codes][:, None, None]

    monkeypatch.setattr(Predictor, "predict", predict)


def config(folders, out, **changed):
    values = {"chips": folders / "chips", "model": folders / "kinds", "out": out, "batch_size": 2}
    return SieveConfig.model_validate(values | changed)


def kinds(chips, split):
    store = ChipStore(chips, split, "classify")
    return [int(store[index].label[0, 0]) for index in range(len(store))]


def test_the_shipped_file_writes_out_the_defaults():
    given = {"chips": "chips", "model": "kinds", "out": "sieved"}
    file = Path(jobs.sieve.__file__).parent / "conf" / "sieve.yaml"
    assert load_settings(SieveConfig, file, given) == load_settings(SieveConfig, None, given)


def test_dropped_kinds_are_gone_from_train_and_from_nowhere_else(folders, knows, tmp_path):
    counts = run(config(folders, tmp_path / "out", drop=("cloud", "water")))
    assert kinds(tmp_path / "out", "train") == [1, 3, 2, 3]
    assert kinds(tmp_path / "out", "val") == [4, 0]
    assert kinds(tmp_path / "out", "test") == [4, 1, 4, 4]
    assert counts.dropped == {ChipKind.CLOUD: 4, ChipKind.WATER: 3}
    assert counts.kept == {ChipKind.THIN_ICE: 1, ChipKind.MIXED: 2, ChipKind.THICK_ICE: 1}
    before = {str(chip.row.to_pylist()) for split in SPLITS for chip in chips_of(folders / "chips", split)}
    after = {str(chip.row.to_pylist()) for split in SPLITS for chip in chips_of(tmp_path / "out", split)}
    assert len(after) == 4 + 2 + 4
    assert after < before


def chips_of(chips, split):
    return list(records(split_files(chips, split), read_card(chips).size))


def test_the_card_says_what_is_there(folders, knows, tmp_path):
    run(config(folders, tmp_path / "out", drop=("cloud", "water")))
    before, card = read_card(folders / "chips"), read_card(tmp_path / "out")
    for split in SPLITS:
        held = chips_of(tmp_path / "out", split)
        labels = np.concatenate([pixels(chip.row, "label") for chip in held])
        assert card.counts[split] == len(held)
        assert list(card.class_pixels[split]) == np.bincount(labels, minlength=256)[:3].tolist()
        assert card.scenes[split] == [file.stem for file in split_files(tmp_path / "out", split)]
        for file in split_files(tmp_path / "out", split):
            metadata = pq.read_metadata(file)
            assert metadata.num_row_groups == metadata.num_rows
    # Of the last scene but one a chip is left, of the last none.
    assert card.scenes["train"] == before.scenes["train"][:3]
    assert "7 of 11 training chips, which a network named cloud or open water" in card.note
    assert card.digest != before.digest
    assert (card.size, card.rendering, card.split_by) == (before.size, before.rendering, before.split_by)


def test_chips_that_are_all_kept_have_the_digest_they_had(folders, knows, tmp_path):
    run(config(folders, tmp_path / "out", drop=("cloud",), keep_share=0.999999))
    before, card = read_card(folders / "chips"), read_card(tmp_path / "out")
    assert card.digest == before.digest
    assert (card.counts, card.class_pixels, card.scenes) == (
        before.counts,
        before.class_pixels,
        before.scenes,
    )


def test_a_share_of_a_dropped_kind_is_drawn_by_the_seed(tmp_path, folders, knows):
    many = write_kind_chips(tmp_path / "chips", train=[0] * 60 + [2], size=16, per_file=20)

    def kept(name, **changed):
        run(config(folders, tmp_path / name, chips=many, drop=("water",), **changed))
        return {str(chip.row.to_pylist()) for chip in chips_of(tmp_path / name, "train")}

    some, again = kept("some", keep_share=0.3), kept("again", keep_share=0.3, batch_size=7)
    assert some == again
    assert 6 < len(some) < 32
    assert kept("more", keep_share=0.6) > some
    assert kept("other", keep_share=0.3, seed=1) != some
    assert len(kept("none")) == 1


def test_what_does_not_go_together_is_refused_and_nothing_is_written(folders, knows, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ConfigError, match="nothing would be left to train on"):
        run(config(folders, out, drop=[kind.name.lower() for kind in ChipKind]))
    with pytest.raises(ModelError, match=r"names pixels .*train-kinds\.yaml"):
        run(config(folders, out, model=write_model(tmp_path / "pixels")))
    other = write_model(tmp_path / "other", rendering="tci-l1c", **KINDS)
    with pytest.raises(ModelError, match=r"trained on rendering tci-l1c, and the chips .* are rgb8"):
        run(config(folders, out, model=other))
    with pytest.raises(ConfigError, match=r"chips\.json is missing"):
        run(config(folders, out, chips=tmp_path / "none"))
    assert not list(tmp_path.glob("*out*"))
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(ConfigError, match=r"exists already.*--out"):
        run(config(folders, folders / "chips"))


def test_damaged_chips_are_named_and_leave_nothing_behind(folders, knows, tmp_path):
    chips = write_chips(tmp_path / "chips", train=3, val=2, size=16)
    card = json.loads((chips / "chips.json").read_text())
    (chips / "chips.json").write_text(json.dumps(card | {"size": 32}))
    with pytest.raises(ConfigError, match="not 32 x 32 pixels"):
        run(config(folders, tmp_path / "out", chips=chips))
    (chips / "split=val" / "val-scene-000.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ConfigError, match="val-scene-000"):
        run(config(folders, tmp_path / "out", chips=chips))
    assert [path.name for path in tmp_path.iterdir()] == ["chips"]


def test_a_file_in_the_way_of_the_output_is_told(folders, knows, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot write to .*--out"):
        run(config(folders, tmp_path / "file" / "out"))


def test_the_command_says_what_it_kept_and_the_run_remembers(folders, knows, tmp_path, capsys):
    flags = ["--chips", folders / "chips", "--model", folders / "kinds", "--drop", "cloud", "water"]
    assert main([*map(str, flags), "--out", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "kept 4 of 11 training chips: open water 0 of 3, thin ice 1 of 1" in told
    record = json.loads((folders / "jobs" / "sieve.json").read_text())
    assert record["summary"]["dropped"]["cloud"] == 4
    assert main([*map(str, flags), "--out", str(tmp_path / "out")]) == 2
    assert main([*map(str, flags), "--out", str(tmp_path / "new"), "--keep-share", "2"]) == 2
    assert main(["--drop", "fog", "--out", str(tmp_path / "new")]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert "'keep_share'" in told[1]
    assert "'drop.0'" in told[2]
