"""What a product is to the job that makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple

from pyspark.sql import SparkSession

from labeling.errors import ConfigError
from labeling.files.atomic import refilling
from labeling.files.layout import DONE, Run, is_done, read_done, write_done
from labeling.files.storage import AnyPath
from pipelines.engine.scenes import Failure
from pipelines.products.config import ProductsConfig
from pipelines.products.maps import MapFile
from pipelines.products.parts import Fill, Part, PartJob, make_parts, prune


class Work(NamedTuple):
    """What a product is made from, and where."""

    name: str
    """Of the product."""
    run: Run
    config: ProductsConfig
    maps: list[MapFile]
    """In the order of their ids; one at least."""
    spark: Callable[[], SparkSession]
    """Makes the session when first called."""

    @property
    def folder(self) -> AnyPath:
        """Where the finished product lies."""
        return self.run.product(self.name)

    def make_parts(self, parts: list[Part], files: list[str], fill: Fill) -> list[Failure]:
        """Make what is missing or has changed of `parts`; return those that could not be."""
        job = PartJob(self.run.product_parts(self.name), files, fill, self.config.limits.limits)
        return make_parts(self.spark, job, parts, self.name)

    def is_part_done(self, part: Part, files: list[str]) -> bool:
        """Tell whether a part is finished and up to date."""
        return is_done(self.part(part), part.inputs, files)

    def part(self, part: Part) -> AnyPath:
        """Return the folder of a part."""
        return self.run.product_parts(self.name) / part.name

    def prune(self, parts: list[Part]) -> None:
        """Remove what is no part of the product any more."""
        prune(self.run.product_parts(self.name), parts)

    @property
    def choice(self) -> dict[str, Any]:
        """Which maps this is of, for completion marks: products made of others do not go together."""
        names = "\n".join(each.scene_id for each in self.maps)
        return {"of": self.config.of, "maps": len(self.maps), "ids": sha256(names.encode()).hexdigest()}

    def finished(self, name: str) -> dict[str, Any] | None:
        """Return the completion mark of another product; None where it is not finished.

        ConfigError where it was made of other maps than this one is to be.
        """
        done = read_done(self.run.product(name))
        if done is None or done["inputs"].get("choice") == self.choice:
            return done
        raise ConfigError(
            f"{self.run.product(name)} was made of other maps than the {len(self.maps)} {self.config.of} "
            f"that {self.name} is asked of. Choose the same, or make both: "
            f"python -m jobs.products --run {self.run.root} {name} {self.name}"
        )

    def is_done(self, inputs: dict[str, Any], files: list[str]) -> bool:
        """Tell whether the product is finished, from exactly these inputs and maps."""
        return is_done(self.folder, inputs | {"choice": self.choice}, files)

    @contextmanager
    def finishing(self, inputs: dict[str, Any], files: list[str], **facts: Any) -> Iterator[AnyPath]:
        """Yield a folder to write the product's `files` into; it is the product when the block succeeds."""
        with refilling(self.folder, DONE) as folder:
            yield folder
            write_done(folder, inputs | {"choice": self.choice}, files, **facts)


class Product(NamedTuple):
    """How a product is made."""

    make: Callable[[Work], list[Failure]]
    """Makes what is missing or has changed; returns the scenes that are not in it. An error of ours means
    that the product could not be made, and that an earlier one, if any, is as it was."""
    about: str
    """What it is, for a person."""
