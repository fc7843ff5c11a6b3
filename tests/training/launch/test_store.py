"""Values by scope and key, written once."""

from http import HTTPStatus

import pytest

from training.launch import store as module
from training.launch.store import VALUE_BYTES, Store


def test_a_value_is_there_after_it_was_put_and_not_before():
    store = Store()
    assert store.get("global", "0") is None
    assert store.put("global", "0", b"address") == HTTPStatus.OK
    assert store.get("global", "0") == b"address"
    assert store.get("cross_0", "0") is None


def test_a_value_once_written_stays():
    store = Store()
    store.put("global", "0", b"address")
    assert store.put("global", "0", b"address") == HTTPStatus.OK  # a client tries again
    assert store.put("global", "0", b"another") == HTTPStatus.CONFLICT
    assert store.get("global", "0") == b"address"


def test_a_scope_is_empty_when_all_have_left_it_and_can_be_used_again():
    store = Store()
    for key in "01":
        store.put("global", key, b"first")
    store.leave("global", "0")
    store.leave("global", "0")
    store.leave("global", "7")
    assert store.get("global", "0") == b"first"  # rank 1 may still have to read it
    store.leave("global", "1")
    assert store.get("global", "0") is store.get("global", "1") is None
    assert store.put("global", "0", b"second") == HTTPStatus.OK
    store.leave("elsewhere", "0")
    store.clear()
    assert store.get("global", "0") is None


@pytest.mark.parametrize("name", ["", "a/b", "..\n", "a b", "x" * 256, "ä"])
def test_names_are_plain_and_short(name):
    assert Store().put(name, "0", b"") == Store().put("global", name, b"") == HTTPStatus.FORBIDDEN


def test_values_are_bounded_each_and_together_and_leaving_makes_room(monkeypatch):
    monkeypatch.setattr(module, "ALL_BYTES", 2 * VALUE_BYTES)
    store, large = Store(), bytes(VALUE_BYTES)
    assert store.put("global", "0", large + b"1") == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert store.put("global", "0", large) == HTTPStatus.OK
    assert store.put("global", "1", large) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE  # names count, too
    store.leave("global", "0")
    assert store.put("global", "1", large) == HTTPStatus.OK


def test_who_answers_for_a_scope_is_asked_and_cannot_be_overwritten():
    store = Store()
    store.answer("news", lambda key: key.encode() if key == "0" else None)
    assert store.put("news", "0", b"forged") == HTTPStatus.FORBIDDEN
    assert (store.get("news", "0"), store.get("news", "1")) == (b"0", None)
