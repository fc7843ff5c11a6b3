"""What is written below a run folder stays below it, whatever ids and links say."""

import re

import pytest

from labeling.errors import ConfigError, SceneError
from labeling.files.atomic import remove
from labeling.files.layout import ROOMS, Run, make_run, own_folder, remove_leftovers, scene_folder


@pytest.mark.parametrize("name", ["..", ".x.part", "../../x", "/etc", ""])
def test_no_folder_for_what_is_no_id(tmp_path, name):
    run = Run(tmp_path)
    for folder in (run.labels, run.maps, lambda name: own_folder(tmp_path, name)):
        with pytest.raises(SceneError, match=r"is no scene's id, .* Delete catalog\.parquet"):
            folder(name)


@pytest.mark.parametrize("room", ROOMS)
def test_a_run_whose_folders_are_links_is_refused(tmp_path, room):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / room).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=rf"{re.escape(room)} is a link to .*elsewhere, .*: --out"):
        make_run(tmp_path / "run")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_run_that_is_a_link_itself_is_the_users_choice(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "disk")
    assert make_run(tmp_path / "run").labels("a") == tmp_path / "run" / "labels" / "a"


def test_a_scenes_folder_that_is_a_link_may_be_read_and_is_not_written_to(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "elsewhere")
    assert scene_folder(tmp_path, "a") == tmp_path / "a"
    with pytest.raises(SceneError, match=r"a is a link to .*elsewhere, .* Remove the link"):
        own_folder(tmp_path, "a")


def test_leftovers_are_removed_and_what_links_lead_to_stays(tmp_path):
    run = make_run(tmp_path / "run")
    (tmp_path / "elsewhere").mkdir()
    precious = tmp_path / "elsewhere" / ".labels.0123abcd.part.tif"
    precious.touch()
    (run.root / "labels" / "a").mkdir(parents=True)
    left = run.root / "labels" / "a" / ".labels.0123abcd.part.tif"
    left.touch()
    (run.root / "labels" / "b").symlink_to(tmp_path / "elsewhere")
    (run.root / ".jobs.0123abcd.part").symlink_to(tmp_path / "elsewhere")
    remove_leftovers(run, run.root / "labels", run.scratch / "label")
    assert not left.exists()
    assert not (run.root / ".jobs.0123abcd.part").is_symlink()
    assert precious.exists()


def test_removing_a_link_leaves_what_it_leads_to(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    remove(tmp_path / "link")
    assert (tmp_path / "folder").is_dir()
    assert not (tmp_path / "link").is_symlink()
