"""What a night does with bad input and trouble: a sentence each, nothing lost, and the next night repairs it.

Run folders made by hand stand in for the jobs of a night; tests/jobs/test_five_nights.py has the real ones.
"""

import base64
import datetime as dt
import glob
import json
import re
import shutil

import numpy as np
import pytest
from chip_factory import write_chips
from conftest import ROOT, patchwork, planar
from map_runs import no_network, write_tiny_card
from pictures import write_tif
from rasterio.io import MemoryFile
from run_factory import RunFactory

from jobs import nightly
from jobs.command import main_of
from labeling.classes import PALETTES, IceClass
from labeling.errors import ConfigError, ModelError, OutputError
from labeling.files.locks.folder import folder_lock
from labeling.masks.limits import LimitSettings
from labeling.settings import load_settings
from pipelines.catalog import look_up, write_catalog
from pipelines.config import InferConfig
from pipelines.engine.outcome import Outcome
from pipelines.engine.scenes import Failure
from pipelines.nightly import night as night_module
from pipelines.nightly import successor
from pipelines.nightly.config import NightlyConfig
from pipelines.nightly.models import go_back
from pipelines.nightly.page import write_page
from pipelines.nightly.series import FIGURES, KINDS, Row
from pipelines.nightly.series_file import read_series
from pipelines.nightly.site import Site
from pipelines.nightly.status import Status
from training.network.metrics import confusion_matrix, scores

CLASSES = np.repeat(np.array([0, 1, 2, 255], np.uint8), 16).reshape(8, 8)


class Nights:
    """Nights of a site whose scenes are labelled and mapped by hand."""

    def __init__(self, folder, monkeypatch):
        self.site, self._patch = Site(folder), monkeypatch
        self.factory = RunFactory(folder)
        self.failures = {"label": [], "infer": []}
        self.hidden = set()
        self.model = no_network(folder / "first")
        for job in ("label", "infer"):
            monkeypatch.setattr(night_module, job, self)  # whose `run` is below
        monkeypatch.setattr(night_module.evaluate, "run", self.evaluate)
        monkeypatch.setattr(night_module.products, "run", self.products)
        monkeypatch.setattr(night_module, "write_report", lambda *given: self.given.update(report=given))
        self.launched, self.given = [], {}

    def add(self, scene, **more):
        self.factory.add(scene, CLASSES, CLASSES, **more)

    def evaluate(self, config, known):
        self.given["evaluate"] = (config, known)
        return Outcome(0, ())

    def products(self, config):
        self.given["products"] = (config,)
        return Outcome(2, (Failure("b", "products", "it has no map"),))

    def run(self, config, known=None):
        """Stand in for pipelines.label.run and pipelines.infer.run."""
        step = "infer" if isinstance(config, InferConfig) else "label"
        self.given[step] = (config, known)
        if isinstance(trouble := self.failures[step], Exception):
            raise trouble
        rows = [row for row in self.factory._rows if row.scene_id not in self.hidden]
        if step == "label":
            write_catalog(rows, self.site.run)
        return Outcome(len(rows), tuple(trouble))

    def fail(self, step, *failures):
        self.failures[step] = failures[0] if isinstance(failures[0], Exception) else list(failures)

    def works(self):
        self.failures = {"label": [], "infer": []}

    def config(self, **changed):
        return NightlyConfig(**{"scenes": ["in"], "out": self.site.root, "model": self.model} | changed)

    def night(self, launch=None, **changed):
        return night_module.run(self.config(**changed), ["train"], launch)

    def status(self):
        return json.loads(self.site.status.read_text())

    def rows(self):
        return {row.scene: row for row in read_series(self.site)[0]}

    def at(self, time):
        class Clock(dt.datetime):
            @classmethod
            def now(cls, tz=None):
                return time

        self._patch.setattr(night_module, "datetime", Clock)


@pytest.fixture
def nights(tmp_path, monkeypatch):
    made = Nights(tmp_path, monkeypatch)
    made.add("a")
    made.add("b")
    return made


def test_a_night_says_what_it_did(nights, capsys):
    assert nights.night() == Outcome(2, ())
    status = nights.status()
    assert (status["state"], status["exit_code"], status["new"]) == ("ended", 0, ["a", "b"])
    assert "nightly: night 1: 2 scenes, 2 new, 0 failed; model 1" in capsys.readouterr().out
    assert json.loads((nights.site.nights / "0001.json").read_text()) == status
    assert nights.rows()["a"].figures["map_water_pixels"] == 16
    assert nights.rows()["a"].figures["labels_thick_ice_km2"] == 16 * 100 / 1e6
    page = nights.site.page.read_text()
    assert "night 1" in page
    assert "exit code 0" in page


def test_a_second_night_changes_nothing(nights):
    nights.night()
    rows = nights.rows()
    nights.night()
    assert nights.rows() == rows
    assert nights.status()["new"] == []


def test_two_nights_that_overlap(nights):
    nights.night()
    before = nights.status()
    with folder_lock(nights.site.root, "nightly"), pytest.raises(ConfigError, match="in use by nightly"):
        nights.night()
    assert nights.status() == before
    nights.night()


def test_without_a_model(nights):
    with pytest.raises(ConfigError, match="there is no model"):
        nights.night(model=None)
    assert not nights.site.series.exists()
    assert (nights.status()["exit_code"], nights.status()["state"]) == (2, "stopped")
    assert "there is no model" in nights.status()["summary"]
    nights.night()
    assert nights.status()["night"] == 2


def test_a_model_of_another_rendering_stops_the_maps_and_not_the_series(nights):
    nights.fail("infer", ModelError("the model is for rayleigh-v1-1.3"))
    with pytest.raises(ModelError, match="rayleigh"):
        nights.night()
    status = nights.status()
    assert (status["exit_code"], status["step"]) == (2, "retention")
    assert status["problems"] == {"map": "the model is for rayleigh-v1-1.3"}
    assert nights.rows().keys() == {"a", "b"}
    nights.works()
    assert nights.night() == Outcome(2, ())


def test_an_archive_that_is_not_there_is_not_taken_for_one_whose_scenes_vanished(nights):
    nights.night()
    rows = nights.rows()
    nights.fail("label", ConfigError("no scenes in in"))
    with pytest.raises(ConfigError, match="no scenes"):
        nights.night()
    assert nights.rows() == rows
    assert nights.status()["exit_code"] == 2


NOTHING_THERE = {
    "a relative pattern": "scenes/*.tif",
    "a pattern of all folders below": "**/scenes/?.tif",
    "a relative folder": "scenes",
    "a folder with a slash": "scenes/",
    "an absolute pattern": "{}/scenes/*",
}


@pytest.mark.parametrize("given", NOTHING_THERE.values(), ids=NOTHING_THERE)
def test_scenes_of_what_finds_nothing_any_more_have_failed_and_not_vanished(
    nights, tmp_path, monkeypatch, given
):
    """An archive that is not mounted, beside another that is: as the catalogue tells of it."""
    given = given.format(tmp_path)
    monkeypatch.chdir(tmp_path)
    nights.night()
    before = nights.rows()["a"]
    other = write_tif(tmp_path / "other/c.tif", planar(patchwork(8, 8)))
    (tmp_path / "scenes").rename(tmp_path / ".unmounted")
    if not glob.has_magic(given):
        (tmp_path / "scenes").mkdir()  # the folder to mount at
    found, failures = look_up([given, str(other)], LimitSettings())
    assert found == [str(other)]
    nights.fail("label", *failures)
    nights.hidden = {"a", "b"}
    assert len(nights.night().failures) == 1
    assert nights.status()["vanished"] == []
    assert nights.status()["exit_code"] == 3
    assert (nights.rows()["a"].state, nights.rows()["a"].figures) == ("failed", before.figures)
    assert nights.rows()["a"].reason == failures[0].reason


def test_a_scene_of_another_folder_vanishes_though_a_pattern_finds_nothing(nights):
    nights.night()
    nights.hidden = {"b"}
    nights.fail("label", Failure(f"{nights.factory.scenes}/*.png", "open", "no file fits"))
    nights.night()
    assert nights.status()["vanished"] == ["b"]


def test_the_catalogue_is_read_once_and_handed_on(nights, monkeypatch):
    write_chips(nights.site.run.chips, test=2)
    read, rows = [], night_module.read_catalog
    monkeypatch.setattr(night_module, "read_catalog", lambda run: read.append(run) or rows(run))
    nights.night()
    assert len(read) == 1
    for step in ("infer", "evaluate", "report"):
        assert [row.scene_id for row in nights.given[step][-1]] == ["a", "b"]


def test_every_step_has_the_sites_own_spark_and_palette(nights):
    write_chips(nights.site.run.chips, test=2)
    spark = {"master": "local[1]", "driver_memory": "1g"}
    nights.night(spark=spark, palette="iqrah-2024", pictures=3)
    for step in ("label", "infer", "evaluate"):
        config = nights.given[step][0]
        assert (config.spark.master, config.spark.driver_memory) == ("local[1]", "1g")
        assert config.palette == "iqrah-2024"
    assert nights.given["report"][1:3] == ("iqrah-2024", 3)


def test_products_are_made_where_the_configuration_asks_for_them(nights):
    nights.night()
    assert "products" not in nights.given
    wanted = {"products": ["statistics", "mosaic"], "scenes": ["a*"], "mosaic": {"pixel": 20}}
    outcome = nights.night(products=wanted, palette="iqrah-2024", spark={"master": "local[1]"})
    (config,) = nights.given["products"]
    assert config.run == nights.site.root / "run"
    assert (config.products, config.scenes) == (["statistics", "mosaic"], ["a*"])
    assert (config.mosaic.pixel, config.mosaic.palette) == (20, "iqrah-2024")
    assert config.spark.master == "local[1]"
    assert [failure.scene for failure in outcome.failures] == ["b"]
    assert nights.status()["failed"] == {"b": "it has no map"}
    # Of a scene by itself it is known what is lacking; of a folder it is not.
    nights.hidden.add("a")
    place = nights.rows()["a"].place
    del nights.given["products"]
    nights.fail("label", Failure(place, "open", "damaged"))
    nights.night(products=wanted)
    assert "products" in nights.given
    del nights.given["products"]
    nights.fail("label", Failure(place.rpartition("/")[0], "open", "it holds no scene"))
    outcome = nights.night(products=wanted)
    assert "products" not in nights.given
    assert any("products stay as they were: of 1 scene(s)" in note for note in nights.status()["notes"])
    assert outcome.failures
    nights.hidden.clear()
    nights.works()
    nights.fail("infer", ModelError("no"))
    with pytest.raises(ModelError):
        nights.night(products=wanted)
    assert "products" not in nights.given, "there are no new maps"


@pytest.mark.parametrize("palette", ["polynya", "iqrah-2024"])
def test_the_page_has_the_sites_colours(nights, palette):
    day = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    pixels = {f"map_{kind}_pixels": 5 for kind in KINDS}
    figures = dict.fromkeys(FIGURES.names) | {"doubts": "", "time": day} | pixels
    rows = [Row(name, name, "", "good", "", 1, 1, 1, day, figures) for name in "ab"]
    write_page(nights.site, Status(night=1, started=day), rows, palette)
    chart = re.search(r"base64,([A-Za-z0-9+/=]+)", nights.site.page.read_text())[1]
    with MemoryFile(base64.b64decode(chart)) as file, file.open() as picture:
        drawn = set(map(tuple, picture.read()[:3].reshape(3, -1).T.tolist()))
    for name, colours in PALETTES.items():
        ours = [tuple(colours[ice]) in drawn for ice in IceClass]
        assert all(ours) if name == palette else not all(ours)


def test_failed_scenes_are_exit_code_three_and_new_ones_are_told_apart(nights):
    nights.fail("label", Failure("a", "label", "too dark"))
    assert len(nights.night().failures) == 1
    assert nights.status()["exit_code"] == 3
    assert nights.status()["failed_first"] == ["a"]
    nights.fail("label", Failure("a", "label", "too dark"), Failure("/in/c.tif", "open", "half"))
    nights.night()
    assert nights.status()["failed"] == {"a": "too dark", "/in/c.tif": "half"}
    assert nights.status()["failed_first"] == ["/in/c.tif"]


def test_a_scene_that_vanished_stays_and_its_results_go_when_the_settings_say_so(nights):
    start = dt.datetime(2026, 3, 1, 2, tzinfo=dt.UTC)
    nights.at(start)
    nights.night()
    nights.hidden = {"b"}
    for day in (1, 3):
        nights.at(start + dt.timedelta(days=day))
        nights.night(retention={"vanished_days": 3})
        assert nights.rows()["b"].state == "vanished"
        assert nights.site.run.labels("b").is_dir()
    nights.at(start + dt.timedelta(days=4))
    nights.night(retention={"vanished_days": 3})
    assert not nights.site.run.labels("b").exists()
    assert not nights.site.run.maps("b").exists()
    assert nights.site.run.labels("a").is_dir()
    assert nights.rows()["b"].figures["map_water_pixels"] == 16


def test_a_clock_that_goes_back_is_told_and_nights_stay_in_order(nights):
    start = dt.datetime(2026, 3, 1, 2, tzinfo=dt.UTC)
    nights.at(start)
    nights.night(train_when="7 days")
    nights.at(start - dt.timedelta(days=400))
    nights.add("c")
    nights.night(train_when="7 days")
    assert any("the clock went back" in note for note in nights.status()["notes"])
    assert nights.rows()["c"].night == 2
    assert nights.status()["training"] == "0 of 7 days since the last training"


def test_results_outlive_nights_with_a_clock_of_1970(nights):
    start = dt.datetime(2026, 3, 1, 2, tzinfo=dt.UTC)
    nights.at(start)
    nights.night()
    nights.hidden.add("b")
    for day in range(2):
        nights.at(dt.datetime(1970, 1, 1 + day, tzinfo=dt.UTC))
        nights.night()
        assert any("the clock went back" in note for note in nights.status()["notes"])
    nights.at(start + dt.timedelta(days=3))
    nights.night(train_when="30 days", retention={"vanished_days": 90})
    assert nights.site.run.labels("b").is_dir()
    assert nights.status()["training"] == "3 of 30 days since the last training"


def test_a_clock_that_was_ahead_is_forgotten_as_the_note_says(nights):
    nights.at(dt.datetime(2099, 1, 1, tzinfo=dt.UTC))
    nights.night(train_when="30 days")
    nights.at(dt.datetime(2026, 3, 1, tzinfo=dt.UTC))
    nights.night(train_when="30 days")
    assert any(f"delete {nights.site.status}" in note for note in nights.status()["notes"])
    nights.site.status.unlink()
    nights.at(dt.datetime(2026, 3, 2, tzinfo=dt.UTC))
    nights.night(train_when="30 days")
    assert not any("clock" in note for note in nights.status()["notes"])
    assert nights.status()["night"] == 3
    nights.at(dt.datetime(2026, 3, 6, tzinfo=dt.UTC))
    nights.night(train_when="30 days")
    assert nights.status()["training"] == "4 of 30 days since the last training"


@pytest.mark.parametrize("step", ["label", "map", "evaluate", "series", "report", "successor", "retention"])
def test_a_full_disk_in_a_step_is_told_and_the_next_night_repairs_it(nights, monkeypatch, step):
    def full(*_):
        raise OutputError("the disk is full: x cannot be written")

    nights.night()
    rows = nights.rows()
    nights.add("c")
    with monkeypatch.context() as patch:
        patch.setattr(night_module.Work, step, full)
        with pytest.raises(OutputError, match="the disk is full"):
            nights.night()
    assert nights.status()["exit_code"] == 1
    assert nights.status()["problems"] == {step: "the disk is full: x cannot be written"}
    assert rows.items() <= nights.rows().items()
    assert nights.night() == Outcome(3, ())
    assert nights.rows().keys() == {"a", "b", "c"}


def test_a_disk_that_is_full_from_the_beginning(nights, monkeypatch):
    nights.night()
    rows = nights.rows()

    def full(*_):
        raise OutputError("the disk is full")

    monkeypatch.setattr(night_module, "write_status", full)
    with pytest.raises(OutputError):
        nights.night()
    assert nights.rows() == rows


@pytest.mark.parametrize("content", ["", "{", '{"night": -1}', "[]"])
def test_a_status_that_cannot_be_read_is_told_and_nights_are_counted_on(nights, content):
    nights.night()
    nights.site.status.write_text(content)
    nights.night()
    assert nights.status()["night"] == 2
    assert "could not be read" in nights.status()["notes"][0]


def test_a_damaged_series_is_made_anew_and_the_damaged_file_kept(nights):
    nights.night()
    rows = nights.rows()
    nights.site.series.write_bytes(b"PAR1")
    nights.night()
    assert nights.rows() == rows
    assert (nights.site.root / "series-damaged-0002.parquet").read_bytes() == b"PAR1"
    assert "made anew from series.csv" in nights.status()["notes"][0]


def test_a_signal_ends_the_night_and_the_next_goes_on(nights):
    nights.night()
    nights.run, run = (lambda *_: (_ for _ in ()).throw(SystemExit(143))), nights.run
    with pytest.raises(SystemExit):
        nights.night()
    assert (nights.status()["state"], nights.status()["exit_code"]) == ("stopped", 143)
    nights.run = run
    nights.night()


def test_what_a_killed_night_found_is_told_by_the_next(nights, monkeypatch):
    nights.night()
    nights.add("c")
    with monkeypatch.context() as patch:
        patch.setattr(night_module.Work, "report", lambda _: (_ for _ in ()).throw(SystemExit(143)))
        with pytest.raises(SystemExit):
            nights.night()
    nights.night()
    assert nights.status()["new"] == ["c"]
    nights.night()
    assert nights.status()["new"] == []


def test_usage(tmp_path, capsys):
    def code(*arguments):
        return main_of(lambda: nightly.main([*map(str, arguments)]), "nightly")

    assert code("--out", tmp_path) == 2
    assert "'scenes': Field required" in capsys.readouterr().err
    assert code("--scenes", "x", "--out", tmp_path, "--train-when", "often") == 2
    assert "20 scenes, 7 days" in capsys.readouterr().err
    assert code("--scenes", "x", "--out", tmp_path) == 2
    assert "there is no model" in capsys.readouterr().err
    (tmp_path / "site.yaml").write_text("label: {profil: x}\nscenes: [x]\nout: y\n")
    assert code("--config", tmp_path / "site.yaml") == 2
    assert "label: profil" in capsys.readouterr().err
    (tmp_path / "site.yaml").write_text("products: {run: x}\nscenes: [x]\nout: y\n")
    assert code("--config", tmp_path / "site.yaml") == 2
    assert "run is given by the night itself" in capsys.readouterr().err
    (tmp_path / "site.yaml").write_text("products: {mosaic: 3}\nscenes: [x]\nout: y\n")
    assert code("--config", tmp_path / "site.yaml") == 2
    (tmp_path / "site.yaml").write_text("infer: {out: x}\nscenes: [x]\nout: y\n")
    assert code("--config", tmp_path / "site.yaml") == 2
    assert "out is given by the night itself" in capsys.readouterr().err
    assert code("--scenes", "x", "--out", tmp_path, "--go-back") == 2
    assert "nothing to go back to" in capsys.readouterr().err


def test_the_shipped_configuration_is_the_default(tmp_path):
    given = {"scenes": ["x"], "out": tmp_path}
    shipped = load_settings(NightlyConfig, ROOT / "jobs/conf/nightly.yaml", given)
    assert shipped == NightlyConfig(**given)


# --- successors ---


@pytest.fixture
def trained(nights, monkeypatch):
    """Nights with chips, and a training that writes a model which is judged as `after` says."""
    write_chips(nights.site.run.chips, test=2)
    nights.after = 0.6

    def launch(command, ranks):
        out = command[command.index("--out") + 1]
        nights.launched.append(command)
        made = no_network(nights.site.successor.parent / f"made-{len(nights.launched)}")
        (made / "model.keras").write_text(f"network {len(nights.launched)}")
        write_tiny_card(made, "rgb8")
        made.rename(out)
        return 0

    def judge(chips, model):
        reference = np.zeros(100, np.uint8)
        wrong = round(100 * (1 - (nights.after if model.name == "model" else 0.5)))
        predicted = np.where(np.arange(100) < wrong, 1, 0).astype(np.uint8)
        return scores(confusion_matrix(reference, predicted))

    monkeypatch.setattr(successor, "judge", judge)
    nights.launch = launch
    return nights


def test_a_successor_is_trained_when_enough_is_new_and_kept_when_not_worse(trained):
    trained.night(trained.launch, train_when="3 scenes")
    assert trained.status()["training"] == "2 of 3 new scenes since the last training"
    trained.add("c")
    trained.night(trained.launch, train_when="3 scenes")
    assert "a successor took the place of model 1" in trained.status()["training"]
    assert trained.site.current.resolve().name == "0002"
    command = trained.launched[0]
    assert "--resume" in command
    trained.night(trained.launch, train_when="3 scenes")
    assert trained.status()["model"] == 2
    assert trained.status()["training"] == "0 of 3 new scenes since the last training"
    assert len(trained.launched) == 1


@pytest.mark.parametrize(
    ("after", "worse_by", "kept"), [(0.4, 0.0, False), (0.5, 0.0, True), (0.4, 0.2, True)]
)
def test_worse_is_worse_than_the_settings_allow(trained, after, worse_by, kept):
    trained.after = after
    trained.night(trained.launch, train_when="1 scene", worse_by=worse_by)
    assert trained.site.current.resolve().name == ("0002" if kept else "0001")
    assert not trained.site.successor.exists()


def test_a_training_that_fails_leaves_the_current_model_and_is_gone_on_with(trained):
    with pytest.raises(successor.TrainingError, match="exit code 1"):
        trained.night(lambda *_: 1, train_when="1 scene")
    assert trained.status()["exit_code"] == 1
    assert trained.rows().keys() == {"a", "b"}
    trained.night(trained.launch)  # though none is due any more: it was begun
    assert trained.site.current.resolve().name == "0002"


def test_a_training_that_was_asked_to_end_ends_the_night(trained):
    with pytest.raises(SystemExit):
        trained.night(lambda *_: 75, train_when="1 scene")
    assert trained.status()["state"] == "stopped"
    assert successor.under_way(trained.site)


def test_the_chips_of_a_training_stay_what_they_were(trained):
    with pytest.raises(successor.TrainingError):
        trained.night(lambda *_: 1, train_when="1 scene")
    kept = trained.site.successor / "chips"
    before = {file.name: file.read_bytes() for file in kept.rglob("*.parquet")}
    shutil.rmtree(trained.site.run.chips)
    assert {file.name: file.read_bytes() for file in kept.rglob("*.parquet")} == before


def test_a_training_from_a_model_that_is_current_no_more_is_given_up(trained):
    trained.night(trained.launch, train_when="1 scene")
    trained.add("c")
    with pytest.raises(successor.TrainingError):
        trained.night(lambda *_: 1, train_when="1 scene")
    go_back(trained.site)
    trained.night(trained.launch)
    assert "was given up" in trained.status()["training"]
    assert trained.site.current.resolve().name == "0001"


def test_chips_of_another_rendering_train_nothing(trained):
    card = trained.site.run.chips / "chips.json"
    card.write_text(card.read_text().replace('"rgb8"', '"linear-1.3"'))
    with pytest.raises(ConfigError, match=r"rendering linear-1\.3, and the current model is for rgb8"):
        trained.night(trained.launch, train_when="1 scene")
    assert not trained.launched


def test_a_record_of_trainings_that_cannot_be_read(trained):
    trained.night()
    trained.site.trained.write_text("{")
    with pytest.raises(ConfigError, match=r"trained\.json cannot be read.*Delete it"):
        trained.night()


def test_models_that_nobody_goes_back_to_are_deleted(trained):
    for name in "cdef":
        trained.add(name)
        trained.night(trained.launch, train_when="1 scene", retention={"models": 1})
    assert sorted(path.name for path in trained.site.models.iterdir()) == ["0004", "0005"]
