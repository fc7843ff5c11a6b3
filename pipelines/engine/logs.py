"""Logs: one line a record on standard error, for a person or, on request, as one JSON object a line.

    logging.getLogger("polynya.label").info("labelled", extra={"scene": "S2A…", "seconds": 12.5})

    2026-01-31T12:00:00.000+00:00 info polynya.label: labelled scene=S2A… seconds=12.5
    {"time": "2026-01-31T12:00:00.000+00:00", "level": "info", "logger": "polynya.label", "message": …}

Only the driver logs. Workers report through the rows they return, and the driver logs those: no log has to be
gathered from the machines of a cluster, and what a task did twice is told once.

Python's own logging does it. structlog and python-json-logger would spare us one line, `json.dumps`: masking
secrets and making any value fit for JSON would stay ours.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Literal

import numpy as np

from labeling.files.redact import MASK, names_secret, without_secrets

Format = Literal["text", "json"]

NAMESPACE: Final = "polynya"
"""Loggers of the project are named polynya.<module>."""

_USUAL: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"asctime", "message", "taskName"}
_DEEPEST: Final = 8
"""Levels of nested values that are told apart; beyond, and for a value that holds itself, text has to do."""

# Everything that ends a line somewhere or steers a terminal: a scene's file name must not forge a record.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def configure(format: Format = "text", level: int = logging.WARNING) -> None:
    """Write the project's records of `level` and above to standard error; calling it again replaces that."""
    handler = _StandardError()
    handler.setFormatter(_FORMATTERS[format]())
    logger = logging.getLogger(NAMESPACE)
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    # Somebody's handlers at the root would write each line again, and without masking.
    logger.propagate = False


def is_json() -> bool:
    """Tell whether JSON was asked for: then nothing else should be drawn on standard error."""
    return any(isinstance(handler.formatter, _Json) for handler in logging.getLogger(NAMESPACE).handlers)


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return a record as values fit for JSON, free of secrets: time, level, logger, message, then `extra`."""
    told: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": _message(record),
    }
    extra = {key: value for key, value in record.__dict__.items() if key not in _USUAL and key not in told}
    if record.exc_info and record.exc_info[0] is not None:
        extra["exception"] = logging.Formatter().formatException(record.exc_info)
    fields: dict[str, Any] = _plain(told | extra)
    return fields


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = fields_of(record)
        head = " ".join(fields.pop(key) for key in ("time", "level", "logger"))
        message = fields.pop("message")
        return one_line(" ".join([f"{head}: {message}", *(f"{k}={_word(v)}" for k, v in fields.items())]))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(fields_of(record), allow_nan=False)


_FORMATTERS: Final[dict[Format, type[logging.Formatter]]] = {"text": _Text, "json": _Json}


class _StandardError(logging.Handler):
    """Writes each record in one piece to what standard error is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        # A terminal that has gone must not end a job; and logging's own way to say so shows secrets.
        with suppress(OSError, ValueError):
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit the message: both are worth more than an error
        return f"{_text(record.msg)} {_text(record.args)}"


def _plain(value: object, depth: int = 0) -> Any:
    """Return a value as JSON has it, with secrets masked; what JSON lacks becomes text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return {
            without_secrets(_text(key)): MASK if names_secret(_text(key)) else _plain(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset) and depth < _DEEPEST:
        return [_plain(item, depth + 1) for item in value]
    return without_secrets(_text(value))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:  # somebody's __str__ must not end a job
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


def _word(value: object) -> str:
    """Return a field's value as one word where it is one, quoted otherwise."""
    if isinstance(value, str) and re.fullmatch(r"[^\s\"'=]+", value):
        return value
    return json.dumps(value, ensure_ascii=False)


def one_line(text: str) -> str:
    """Return a text with what would end a line or steer a terminal written out, as in a file's name."""
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)
