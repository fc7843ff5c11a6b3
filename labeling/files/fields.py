"""Fields of configuration models that name files and folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer, ValidatorFunctionWrapHandler, WrapValidator

from labeling.files.storage import AnyPath, at, is_s3


def _place(value: object, local: ValidatorFunctionWrapHandler) -> AnyPath:
    if "://" in str(value) and not is_s3(str(value)):
        raise ValueError(f"{value} can be no folder of a run: one of this machine or s3://bucket/folder can")
    found: AnyPath = at(str(value)) if is_s3(str(value)) else local(value)
    return found


def _local(value: object) -> object:
    if is_s3(str(value)):
        raise ValueError(
            f"{value} is in a bucket, and this must be on this machine: copy it, for example with rclone copy"
        )
    return value


AnyFolder = Annotated[AnyPath, WrapValidator(_place), PlainSerializer(str, when_used="json")]
"""A folder of this machine, or s3://bucket/folder."""

LocalPath = Annotated[Path, BeforeValidator(_local)]
"""A file or folder of this machine; what is in a bucket is refused with the way out."""
