"""Configuration files that YAML cannot be made of are refused by name."""

import pytest

from labeling.errors import ConfigError
from labeling.settings import read_yaml


@pytest.mark.parametrize(
    "value",
    ["1" * 5000, "2019-99-99", "!!bool perhaps", "!!int ''", "!!float x", "!!timestamp x", "!!binary \u00e4"],
    ids=["digits", "date", "bool", "int", "float", "timestamp", "binary"],
)
def test_values_that_are_not_what_they_look_like(tmp_path, value):
    file = tmp_path / "settings.yaml"
    file.write_text(f"version: {value}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"settings\.yaml is not valid YAML"):
        read_yaml(file)


def test_bytes_that_are_not_utf8(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_bytes(b"name: \xff\n")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        read_yaml(file)
