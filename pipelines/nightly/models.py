"""The models of a site: numbered folders that never change, and a link to the one that maps."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

from pydantic import ValidationError

from labeling.errors import ConfigError, ModelError
from labeling.files.atomic import remove, replacing, write_json
from labeling.settings import Settings, describe_invalid
from pipelines.nightly.site import Site
from training.folder.card import CARD_FILE, MODEL_FILE, ModelCard, model_digest, read_model_card
from training.folder.history import CSV_FILE

ORIGIN: Final = "origin.json"


class Origin(Settings):
    """Where a model of a site comes from."""

    source: str
    """The folder it was copied from."""
    digest: str
    """sha256 of its network."""
    before: int | None = None
    """Number of the model that it took the place of: what there is to go back to."""
    night: int = 0
    """In which it came; 0 for one that somebody put in place."""
    verdict: dict[str, Any] | None = None
    """How it was judged against the one before."""


class Model(NamedTuple):
    """A model of a site."""

    number: int
    folder: Path
    card: ModelCard
    origin: Origin


def adopt(site: Site, folder: Path, origin: Origin) -> Model:
    """Copy a finished model into the site and let it be the one that maps; return it.

    Where the newest is that model already, of that origin, it is taken: a night was killed just then.
    ModelError when it is no finished model that draws maps.
    """
    read_model_card(folder, "segment")
    newest = max(numbers(site), default=0)
    number = newest if newest and _has_origin(site, newest, origin) else newest + 1
    target = site.models / f"{number:04d}"
    if number > newest:
        with replacing(target) as temporary:
            temporary.mkdir()
            for name in (MODEL_FILE, CARD_FILE, CSV_FILE):
                if (folder / name).is_file():
                    shutil.copyfile(folder / name, temporary / name)
            write_json(temporary / ORIGIN, origin.model_dump(mode="json"))
    point(site, number)
    return read_model(site, number)


def _has_origin(site: Site, number: int, origin: Origin) -> bool:
    try:
        found = read_model(site, number).origin
        return found.model_copy(update={"night": origin.night}) == origin
    except ModelError:
        return False


def point(site: Site, number: int) -> None:
    """Let the link lead to a model of the site; at every moment it leads to the old one or to the new."""
    temporary = site.root / f".{site.current.name}.{uuid4().hex[:8]}.part"
    temporary.symlink_to(Path(site.models.name) / f"{number:04d}")
    try:
        temporary.replace(site.current)
    except IsADirectoryError:
        remove(temporary)
        raise ConfigError(
            f"{site.current} is a folder, and must be a link to one of {site.models}: move it away."
        ) from None


def numbers(site: Site) -> list[int]:
    """Return the numbers of the models of a site, lowest first."""
    return sorted(int(path.name) for path in site.models.glob("[0-9]*") if path.name.isdecimal())


def current_number(site: Site) -> int | None:
    """Return the number of the model that maps, None where there is no link; ConfigError for another link."""
    if not site.current.is_symlink() and not site.current.exists():
        return None
    way_out = f"Point it to one: ln -sfn {site.models.name}/NUMBER {site.current}"
    if not site.current.is_symlink():
        raise ConfigError(f"{site.current} is no link to one of {site.models}: move it away. {way_out}")
    leads = site.root / site.current.readlink()
    if leads.parent != site.models or not leads.name.isdecimal():
        raise ConfigError(f"{site.current} leads to {leads}, which is none of {site.models}. {way_out}")
    return int(leads.name)


def current(site: Site, first: Path | None) -> Model:
    """Return the model that maps; where there is none yet `first`, a model folder, becomes it.

    ConfigError where neither is there, ModelError for a model that is damaged.
    """
    number = current_number(site)
    if number is not None:
        return read_model(site, number)
    if first is None:
        raise ConfigError(
            f"there is no model: {site.current} is not there, and the configuration names none. Give the "
            "folder that jobs.train has written as `model`."
        )
    read_model_card(first, "segment")
    return adopt(site, first, Origin(source=str(first.absolute()), digest=model_digest(first)))


def use(site: Site, folder: Path | str) -> Model:
    """Let the model in a folder map from now on; one of the site's own stays where it is. ModelError."""
    folder = Path(folder).absolute()
    if folder.parent == site.models and folder.name.isdecimal():
        found = read_model(site, int(folder.name))
        point(site, found.number)
        return found
    read_model_card(folder, "segment")
    origin = Origin(source=str(folder), digest=model_digest(folder), before=current_number(site))
    return adopt(site, folder, origin)


def read_model(site: Site, number: int) -> Model:
    """Read a model of the site; ModelError where it is none, with how to go back."""
    folder = site.models / f"{number:04d}"
    try:
        card = read_model_card(folder, "segment")
        origin = Origin.model_validate_json((folder / ORIGIN).read_text(encoding="utf-8"))
    except (ModelError, OSError, ValueError) as error:
        reason = describe_invalid(error) if isinstance(error, ValidationError) else str(error)
        others = [other for other in numbers(site) if other != number]
        raise ModelError(
            f"model {number} of {site.root} cannot be used: {reason.rstrip('.')}. Bring it back from a copy"
            + (f", or go on with another: --use {site.models / f'{others[-1]:04d}'}." if others else ".")
        ) from None
    return Model(number, folder, card, origin)


def go_back(site: Site) -> Model:
    """Let the model map that the current one took the place of; ConfigError where there is none."""
    number = current_number(site)
    before = None if number is None else _before(site, number)
    if before is None:
        raise ConfigError(
            f"there is nothing to go back to: the current model of {site.root} took the place of no other."
        )
    found = read_model(site, before)
    point(site, before)
    return found


def _before(site: Site, number: int) -> int | None:
    """Return what a model took the place of, also where that model itself is damaged."""
    try:
        content = json.loads((site.models / f"{number:04d}" / ORIGIN).read_text(encoding="utf-8"))
        return Origin.model_validate(content).before
    except (OSError, ValueError):
        return None
