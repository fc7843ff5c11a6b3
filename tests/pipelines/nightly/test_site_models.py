"""The models of a site: the link leads to one or the other at every moment, and there is a way back."""

import pytest
from map_runs import no_network, write_tiny_card

from labeling.errors import ConfigError, ModelError
from pipelines.nightly import models
from pipelines.nightly.models import Origin, adopt, current, current_number, go_back, numbers, point, use
from pipelines.nightly.site import open_site
from training.folder.card import model_digest


@pytest.fixture
def site(tmp_path):
    return open_site(tmp_path / "site")


def other(folder, text):
    """Write a model folder whose network is another file."""
    made = no_network(folder)
    (made / "model.keras").write_text(text)
    write_tiny_card(made, "rgb8")
    return made


def test_the_first_model_is_copied_and_then_the_configuration_is_asked_no_more(site, tmp_path):
    first = other(tmp_path / "first", "one")
    model = current(site, first)
    assert (model.number, model.origin.digest) == (1, model_digest(first))
    assert str(site.current.readlink()) == "models/0001"
    (first / "model.keras").write_text("trained over")
    assert current(site, None).origin == model.origin
    assert model_digest(site.current) == model.origin.digest


def test_without_a_model_the_sentence_says_what_to_give(site):
    with pytest.raises(ConfigError, match=r"there is no model: .*current is not there.*as `model`"):
        current(site, None)


def test_what_is_no_model_is_not_taken(site, tmp_path):
    with pytest.raises(ModelError, match="no model folder"):
        current(site, tmp_path / "nowhere")
    assert not site.current.is_symlink()


def test_back_and_forth(site, tmp_path):
    current(site, other(tmp_path / "a", "one"))
    second = use(site, other(tmp_path / "b", "two"))
    assert (second.number, second.origin.before) == (2, 1)
    assert go_back(site).number == 1
    assert current_number(site) == 1
    assert numbers(site) == [1, 2]
    assert use(site, site.models / "0002").number == 2
    assert numbers(site) == [1, 2]
    go_back(site)
    with pytest.raises(ConfigError, match="nothing to go back to"):
        go_back(site)


def test_a_night_killed_between_copy_and_link_copies_nothing_twice(site, tmp_path, monkeypatch):
    first, second = other(tmp_path / "a", "one"), other(tmp_path / "b", "two")
    current(site, first)
    origin = Origin(source="successor", digest=model_digest(second), before=1, night=5)
    with monkeypatch.context() as patch:
        patch.setattr(models, "point", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            adopt(site, second, origin)
    assert current_number(site) == 1
    assert adopt(site, second, origin.model_copy(update={"night": 6})).number == 2
    assert numbers(site) == [1, 2]
    assert current_number(site) == 2


def test_a_damaged_model_is_refused_with_the_way_back_and_going_back_works(site, tmp_path):
    current(site, other(tmp_path / "a", "one"))
    use(site, other(tmp_path / "b", "two"))
    (site.models / "0002/model.keras").write_text("half")
    with pytest.raises(ModelError, match=r"model 2 of .* cannot be used.*--use .*models/0001"):
        current(site, None)
    assert go_back(site).number == 1


@pytest.mark.parametrize("leads", ["elsewhere", "models/old", "/"])
def test_a_link_that_leads_elsewhere_is_refused(site, leads):
    site.current.symlink_to(leads)
    with pytest.raises(ConfigError, match=r"leads to .*, which is none of"):
        current(site, None)


def test_a_folder_in_the_place_of_the_link_is_refused(site):
    site.current.mkdir()
    with pytest.raises(ConfigError, match="is no link"):
        current(site, None)
    with pytest.raises(ConfigError, match="must be a link"):
        point(site, 1)
