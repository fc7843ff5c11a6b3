"""Names from elsewhere become ids that can be folders, distinct ones, and nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from labeling.files.atomic import PARTS
from labeling.scene_id import LONGEST, SceneId, distinct_ids, is_scene_id, scene_id_of

PATHS = ["..", ".", "../../x", "/etc", "a/b", "a\\b"]
HOSTILE = [*PATHS, "", ".x.part", ".a.0123abcd.part.tif", "a\0b", "a\n", "-rf", "x" * 300]


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_id_is_refused_and_made_one(name):
    assert not is_scene_id(name)
    with pytest.raises(ValidationError, match="can be no scene's id"):
        TypeAdapter(SceneId).validate_python(name)
    assert is_scene_id(scene_id_of(name))


@given(st.text())
def test_every_name_gives_an_id_that_stays_in_its_folder(tmp_path_factory, name):
    made = scene_id_of(name)
    assert is_scene_id(made)
    assert len(made) <= LONGEST
    folder = tmp_path_factory.getbasetemp()
    assert (folder / made).resolve().parent == folder.resolve()


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}", fullmatch=True))
def test_an_id_stays_as_it_is_and_is_never_taken_for_a_leftover(tmp_path_factory, name):
    assert scene_id_of(name) == name
    folder = tmp_path_factory.mktemp("ids", numbered=True)
    (folder / name).touch()
    assert not list(folder.glob(PARTS))


def test_names_that_are_cut_stay_apart():
    long = ["x" * 300 + end for end in "ab"]
    assert len({scene_id_of(name) for name in long}) == 2


def test_colliding_names_get_a_digest_each():
    ids = distinct_ids({"/x/a.tif": "a", "/y/a.tif": "a", "/y/b.tif": "b"}, {})
    assert ids["/y/b.tif"] == "b"
    assert {ids["/x/a.tif"][:2], ids["/y/a.tif"][:2]} == {"a-"}


def test_names_that_differ_in_capitals_alone_get_a_digest_each():
    ids = distinct_ids({"/x/a.tif": "a", "/y/A.tif": "A"}, {})
    assert len({name.casefold() for name in ids.values()}) == 2


def test_a_scene_that_is_called_like_another_ones_digest_gets_another_id():
    first = distinct_ids({"/x/a.tif": "a", "/y/a.tif": "a"}, {})
    ids = distinct_ids({"/z.tif": first["/x/a.tif"], "/x/a.tif": "a", "/y/a.tif": "a"}, {})
    assert len(set(ids.values())) == 3


def test_known_scenes_keep_their_id_when_a_namesake_comes():
    ids = distinct_ids({"/x/a.tif": "a", "/y/a.tif": "a"}, {"/x/a.tif": "a"})
    assert ids["/x/a.tif"] == "a"
    assert re.fullmatch(r"a-[0-9a-f]{8}", ids["/y/a.tif"])


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=4), max_size=12))
def test_ids_are_distinct(names):
    ids = distinct_ids(names, {})
    assert ids.keys() == names.keys()
    assert len({name.casefold() for name in ids.values()}) == len(names)
    assert all(map(is_scene_id, ids.values()))


@given(st.sets(st.sampled_from([f"/{d}/{s}.{e}" for d in "xyz" for s in ("a", "b") for e in ("tif", "png")])))
def test_ids_do_not_depend_on_order(uris):
    names = {uri: uri[3] for uri in sorted(uris)}
    assert distinct_ids(names, {}) == distinct_ids(dict(reversed(names.items())), {})
