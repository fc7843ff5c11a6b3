"""Configuration files: strict pydantic models filled from YAML, then from command-line flags."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from labeling.errors import ConfigError


class Settings(BaseModel):
    """Base of every configuration model: unknown keys are refused and values never change afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


S = TypeVar("S", bound=BaseModel)


def load_settings(model: type[S], file: Path | None, overrides: Mapping[str, Any]) -> S:
    """Fill `model` from a YAML `file` (may be None), then from `overrides` (nested as the file is).

    Raises ConfigError that names every offending key and the keys that exist.
    """
    values = read_yaml(file) if file is not None else {}
    values = _merge(values, overrides)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        source = f"{file} and the command line" if file else "the command line"
        raise ConfigError(f"{model.__name__} from {source}: {_explain(model, error)}") from None


def read_yaml(file: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file; an empty file is an empty mapping."""
    try:
        values = yaml.load(file.read_text(encoding="utf-8"), _PlainLoader)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration file {file}: {error.strerror}") from None
    except (yaml.YAMLError, RecursionError, *_NOT_BUILT) as error:
        raise ConfigError(f"{file} is not valid YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{file} must hold `key: value` lines, not a {type(values).__name__}")
    return values


_NOT_BUILT: Final = (ValueError, LookupError, AttributeError, TypeError)
"""What PyYAML raises besides its own for a value that is not what its form or tag says: a number of 5000
digits, 2019-99-99, `!!bool perhaps`. ValueError is also bytes that are not UTF-8."""


class _PlainLoader(yaml.SafeLoader):
    """Reads YAML without aliases: one inside its own anchor has no end, and ten in a row fill the memory."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, f"*{event.anchor} repeats another value; write the value out", event.start_mark
            )
        return super().compose_node(parent, index)


def _merge(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in overrides.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = _merge(merged[key], value)
        elif value is not None:
            merged[key] = value
    return merged


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    problems = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "(whole)"
        if item["type"] == "extra_forbidden":
            problems.append(f"unknown key '{key}' (known: {', '.join(model.model_fields)})")
        else:
            problems.append(f"'{key}': {item['msg']}")
    return "; ".join(problems)


def describe_invalid(error: ValidationError) -> str:
    """Return in one line what is wrong with a file that a model was read from; the first few problems."""
    problems = [
        f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}"
        for each in error.errors(include_url=False)
    ]
    return "; ".join(problems[:3]) + ("; …" if len(problems) > 3 else "")
