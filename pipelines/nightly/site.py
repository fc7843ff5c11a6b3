"""Where everything lies in a site folder.

SITE/
  run/                        a run folder as all jobs know it: labels, maps, chips, its report
  series.parquet, series.csv  a line for each scene that was ever there: when, areas, cloud, doubts
  current -> models/0002      the model that maps
  models/0001/                every model that ever was current, and origin.json: where it comes from
  successor/                  a training on its way: plan.json, chips/, model/, verdict.json
  trained.json                since when new scenes and days are counted
  status.json                 what this night does, or the last one did; nights/0012.json each as it ended
  index.html                  the morning's page
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from labeling.files.atomic import PARTS, remove
from labeling.files.layout import Run, make_folder

ROOMS: Final = ("run", "models", "successor", "nights")
"""Folders of a site that a night writes to."""


class Site(NamedTuple):
    """Paths of a site folder."""

    root: Path

    @property
    def run(self) -> Run:
        """The run folder."""
        return Run(self.root / "run")

    @property
    def series(self) -> Path:
        """The series, for programs."""
        return self.root / "series.parquet"

    @property
    def csv(self) -> Path:
        """The same series, for tables and people."""
        return self.root / "series.csv"

    @property
    def current(self) -> Path:
        """The link to the model that maps."""
        return self.root / "current"

    @property
    def models(self) -> Path:
        """Folder of models."""
        return self.root / "models"

    @property
    def successor(self) -> Path:
        """Folder of a training on its way."""
        return self.root / "successor"

    @property
    def trained(self) -> Path:
        """Record of the last training."""
        return self.root / "trained.json"

    @property
    def status(self) -> Path:
        """Record of the night that is, or was last."""
        return self.root / "status.json"

    @property
    def nights(self) -> Path:
        """Folder of the records of nights that ended."""
        return self.root / "nights"

    @property
    def page(self) -> Path:
        """The morning's page."""
        return self.root / "index.html"


def open_site(root: Path) -> Site:
    """Make a site folder; ConfigError when nothing can be written there, or one of its folders is a link."""
    make_folder(root, "site", ROOMS)
    return Site(root.absolute())


def remove_half_written(site: Site) -> None:
    """Remove what killed nights left; the site must be held."""
    for folder in (site.root, site.models, site.nights, site.successor):
        for path in folder.glob(PARTS):
            remove(path)
