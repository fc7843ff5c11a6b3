"""Failures an operator can act on. Each message says what was looked for, where, and the way out."""

from __future__ import annotations

from labeling.text import encodable


class PolynyaError(Exception):
    """Base of every error this project raises on purpose; its message can be written anywhere."""

    def __str__(self) -> str:
        return encodable(super().__str__())


class ConfigError(PolynyaError):
    """A configuration, flag or folder given by the user cannot be used; jobs exit with code 2."""


class SceneError(PolynyaError):
    """One scene cannot be used; it goes to failures.jsonl and the rest goes on."""


class OutputError(PolynyaError):
    """Results cannot be written where they belong, for want of room or permission; jobs exit with code 1."""


class StorageError(PolynyaError, OSError):
    """A bucket cannot be reached, or refuses; also what code expects that knows files only. Exit code 1."""

    def __str__(self) -> str:
        return f"{self.filename}: {self.strerror}"


class ModelError(PolynyaError):
    """A model folder cannot be read, or does not fit the scenes it is asked to map."""


def describe(problem: Exception) -> str:
    """Return an error's message for failures.jsonl, with its kind where it is not one of ours."""
    text = str(problem) if isinstance(problem, PolynyaError) else f"{type(problem).__name__}: {problem}"
    return encodable(text)
