"""Logs: one line a record whatever is logged, values that JSON has, and no credentials in any of them."""

import io
import json
import logging
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.engine import logs

LOG = logging.getLogger("polynya.label")
SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY12"


@pytest.fixture(autouse=True)
def as_before():
    """Leave logging as it was."""
    logger = logging.getLogger(logs.NAMESPACE)
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)


def written(tell, form="json", level=logging.DEBUG):
    """Return what `tell` leaves on standard error."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "stderr", io.StringIO())
        logs.configure(form, level)
        tell()
        return sys.stderr.getvalue()


def told(**extra):
    """Return the JSON object of a record with these fields."""
    return json.loads(written(lambda: LOG.info("labelled", extra=extra)))


class Broken:
    """A value that cannot be shown."""

    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


def test_json_has_time_level_logger_message_and_the_fields():
    extra = {"scene": "S2A", "step": "label", "seconds": 12.5, "pixels": 120}
    before = datetime.now(UTC)
    found = json.loads(written(lambda: LOG.info("labelled %s", "S2A", extra=extra)))
    time = datetime.fromisoformat(found.pop("time"))
    assert time.utcoffset().total_seconds() == 0
    assert abs((time - before).total_seconds()) < 60
    assert found == {"level": "info", "logger": "polynya.label", "message": "labelled S2A", **extra}


def test_text_is_one_line_for_a_person():
    text = written(
        lambda: LOG.warning("black\nscene", extra={"scene": "S2A", "why": "two words", "pixels": [1, 2]}),
        "text",
    )
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 warning polynya\.label: black\\nscene "
        r'scene=S2A why="two words" pixels=\[1, 2\]\n',
        text,
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((np.int64(7), 7), (np.float32(0.5), 0.5), (np.bool_(True), True), (None, None), (True, True)),
        *((float("nan"), "nan"), (float("-inf"), "-inf"), (np.longdouble(2), 2.0), ((1, {2}), [1, [2]])),
        *((Path("a/b.tif"), "a/b.tif"), (b"\xff", "b'\\xff'"), ({1: {"a": "b"}}, {"1": {"a": "b"}})),
        *((ValueError("no"), "no"), (np.array([1, 2]), "[1 2]"), ("Ross Sea \u2028", "Ross Sea \u2028")),
        (Broken(), "<Broken that cannot be shown: RuntimeError>"),
    ],
)
def test_any_value_has_a_form_in_json(value, expected):
    found = told(value=value)["value"]
    assert found == expected
    assert type(found) is type(expected)


def test_a_value_that_holds_itself_ends():
    value = {"scene": "a"}
    value["again"] = [value]
    assert told(value=value)["value"]["again"][0]["scene"] == "a"


def test_an_exception_is_told_whole_and_on_one_line():
    def fail():
        try:
            raise ValueError("no such band")
        except ValueError:
            LOG.exception("label failed")
        LOG.error("without one", exc_info=True)

    first, second = map(json.loads, written(fail).splitlines())
    assert first["exception"].startswith("Traceback (most recent call last):\n")
    assert first["exception"].endswith("\nValueError: no such band")
    assert "exception" not in second
    assert len(written(fail, "text").splitlines()) == 2


def test_fields_cannot_forge_what_is_always_there():
    found = told(time="never", level="none", logger="root")
    assert found["level"] == "info"
    assert found["logger"] == "polynya.label"
    assert found["time"] != "never"


@given(st.text(), st.dictionaries(st.from_regex(r"\A[a-z]{3,8}x\Z"), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
), max_size=4))  # fmt: skip
def test_whatever_is_logged_is_one_line(message, fields):
    text = written(lambda: LOG.info("%s", message, extra=fields))
    assert len(text.splitlines()) == 1
    assert {"time", "level", "logger", "message", *fields} == json.loads(
        text, parse_constant=pytest.fail
    ).keys()
    assert len(written(lambda: LOG.info("%s", message, extra=fields), "text").splitlines()) == 1


SHAPES = st.sampled_from(
    [
        "{}",
        "key {} of bob",
        "https://bob:{}@host/a.tif",
        "/vsicurl/https://host/a.tif?X-Amz-Signature={}",
        "password={}",
        "{{'token': '{}'}}",
    ]
)


@given(SHAPES, st.sampled_from(["text", "json"]))
def test_no_way_to_log_a_secret_shows_it(shape, form):
    text = shape.format(SECRET)

    def tell():
        LOG.info(text)
        LOG.info("%s", text)
        LOG.info("%d of %s", text)  # does not fit
        LOG.info("a", extra={"scene": text})
        LOG.info("a", extra={"deep": [{"er": (text, Path(text), ValueError(text))}]})
        LOG.info("a", extra={"deep": {text: 1}})
        LOG.info("a", extra={"password": "hunter2", "deep": {"api_key": "hunter2"}})
        try:
            raise OSError(text) from ValueError(text)
        except OSError:
            LOG.exception("failed")

    found = written(tell, form)
    assert len(found.splitlines()) == 8
    assert SECRET not in found
    assert "hunter2" not in found


def test_levels_below_are_not_told_and_configuring_again_replaces():
    def tell():
        LOG.debug("a")
        LOG.info("b")
        LOG.warning("c")

    assert len(written(tell, level=logging.INFO).splitlines()) == 2
    assert len(written(tell, level=logging.WARNING).splitlines()) == 1


def test_standard_error_is_the_one_of_the_moment(monkeypatch):
    logs.configure("text")
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    LOG.warning("later")
    assert "later" in sys.stderr.getvalue()


@pytest.mark.parametrize("error", [OSError, ValueError])
def test_a_terminal_that_has_gone_ends_no_job(monkeypatch, error):
    class Gone(io.StringIO):
        def write(self, text):
            raise error

    monkeypatch.setattr(sys, "stderr", Gone())
    logs.configure("json")
    LOG.warning("nobody reads this")


def test_handlers_of_others_see_nothing():
    seen = []

    class Other(logging.Handler):
        def emit(self, record):
            seen.append(record)

    other = Other()
    logging.getLogger().addHandler(other)
    try:
        written(lambda: LOG.warning("password=%s", SECRET))
    finally:
        logging.getLogger().removeHandler(other)
    assert seen == []


def test_json_or_not():
    assert not logs.is_json()
    logs.configure("json")
    assert logs.is_json()
    logs.configure("text")
    assert not logs.is_json()
