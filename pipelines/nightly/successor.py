"""A successor of the current model: trained from it, judged against it, and put in its place or dropped.

Each part leaves a file behind, and a night that finds it goes on from there: plan.json beside the chips as
they were when the training began, the model's own checkpoints, verdict.json, the copy among the models, the
link, and trained.json, from which on is counted anew.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import yaml
from pydantic import AwareDatetime

from labeling.chips.card import read_card
from labeling.errors import ConfigError, PolynyaError
from labeling.files.atomic import remove, replacing, write_bytes, write_json
from labeling.settings import Settings
from pipelines.nightly.config import NightlyConfig, When
from pipelines.nightly.judge import judge
from pipelines.nightly.models import Model, Origin, adopt
from pipelines.nightly.series import Night
from pipelines.nightly.site import Site
from training.folder.card import CARD_FILE, model_digest
from training.ranks.stop import REQUEUE

PLAN: Final = "plan.json"
VERDICT: Final = "verdict.json"
KEPT: Final = ("depth", "width", "channels", "scaling", "dropout")
"""What a successor's network has from the model that it begins with."""


class TrainingError(PolynyaError):
    """A successor could not be trained; the current model stays."""


class Trained(Settings):
    """When a successor was judged last, or the first night was."""

    states: int = 0
    """States of scenes that the series had then."""
    time: AwareDatetime
    night: int
    verdict: dict[str, Any] | None = None


class Verdict(Settings):
    """How a successor was judged, by mean IoU."""

    digest: str
    """sha256 of the successor's network."""
    before: float
    after: float
    keep: bool
    chips: str
    """Digest of the chips that judged."""


class Due(NamedTuple):
    """Whether it is time for a training, and what to say of it."""

    now: bool
    text: str


# --- when ---


def read_trained(site: Site, night: Night) -> Trained:
    """Return since when scenes and days are counted, which on a first night is now, with no scene.

    Such a record is written where there is none yet, or where the clock stands before its time, which becomes
    now. ConfigError for one that cannot be read.
    """
    try:
        found = Trained.model_validate_json(site.trained.read_text(encoding="utf-8"))
    except FileNotFoundError:
        found = Trained(time=night.time, night=night.number)
        write_json(site.trained, found.model_dump(mode="json"))
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"{site.trained} cannot be read ({str(error).partition(chr(10))[0]}), so nobody knows since when "
            "scenes are new. Delete it: all are counted as new then."
        ) from None
    if found.time > night.time:  # the clock was wrong then or is now: days are counted anew
        found = found.model_copy(update={"time": night.time})
        write_json(site.trained, found.model_dump(mode="json"))
    return found


def due(when: When | None, states: int, since: Trained, now: datetime) -> Due:
    """Tell whether enough has happened; `states` are those that the series has by now.

    >>> since = Trained(states=5, time=datetime(2026, 1, 1, tzinfo=UTC), night=1)
    >>> due(When(20, "scene"), 24, since, since.time)
    Due(now=False, text='19 of 20 new scenes since the last training')
    """
    if when is None:
        return Due(False, "no training: train_when is never")
    number = states - since.states if when.unit == "scene" else (now - since.time).days
    unit = "new scenes" if when.unit == "scene" else "days"
    return Due(number >= when.number, f"{number} of {when.number} {unit} since the last training")


# --- how ---


def under_way(site: Site) -> bool:
    """Tell whether a training was begun that nobody has judged yet, or put in place."""
    return (site.successor / PLAN).is_file()


def plan(site: Site, config: NightlyConfig, model: Model, states: int) -> None:
    """Note what a successor is trained from, and keep the chips as they are; all of it appears at once.

    ConfigError where there are no chips, or of another rendering than the model's.
    """
    chips = site.run.chips
    card = read_card(chips)
    if card.rendering != model.card.rendering:
        raise ConfigError(
            f"the chips in {chips} are of the rendering {card.rendering}, and the current model is for "
            f"{model.card.rendering}, so it can have no successor: label with a profile of its rendering, or "
            "set train_when to never."
        )
    own = model.card.model_dump(mode="json", include=set(KEPT))
    settings = {**own, **config.train, "start": str(model.folder)}
    with replacing(site.successor) as temporary:
        shutil.copytree(str(chips), temporary / "chips", copy_function=_same_file)
        write_bytes(temporary / "train.yaml", yaml.safe_dump(settings).encode())
        write_json(
            temporary / PLAN, {"number": model.number, "digest": model.origin.digest, "states": states}
        )


def _same_file(source: str, target: str) -> str:
    """Link a file, whose content never changes; copy it where a disk has no such links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    return target


Launch = Callable[[Sequence[str], int], int]
"""Runs a command as so many ranks and returns the exit code, as training/launch/run.py does."""


def train(site: Site, config: NightlyConfig, command: Sequence[str], launch: Launch) -> None:
    """Train until the model is finished, from the last checkpoint on; TrainingError where that ends badly.

    SystemExit, as SIGTERM makes it, where the training was asked to end.
    """
    folder = site.successor
    if (folder / "model" / CARD_FILE).is_file():
        return
    options = ["--config", folder / "train.yaml", "--chips", folder / "chips", "--out", folder / "model"]
    code = launch([*command, *map(str, options), "--resume"], config.ranks)
    if code in (REQUEUE, 128 + 15):
        sys.exit(128 + 15)
    if code:
        raise TrainingError(
            f"the training of a successor ended with exit code {code}, and what it said stands above. The "
            f"current model stays; the next night goes on with it. To begin it anew, delete {folder}."
        )


def verdict_of(site: Site, config: NightlyConfig, model: Model) -> Verdict:
    """Return how the successor is judged against the current model, or was."""
    file, trained = site.successor / VERDICT, site.successor / "model"
    digest = model_digest(trained)
    try:
        found = Verdict.model_validate_json(file.read_text(encoding="utf-8"))
        if found.digest == digest:
            return found
    except (OSError, ValueError):
        pass  # not judged yet
    chips = config.held_out or site.successor / "chips"
    try:
        before, after = (judge(chips, folder).mean_iou for folder in (model.folder, trained))
    except ConfigError as error:
        if config.held_out is not None:
            raise
        raise ConfigError(
            f"the successor cannot be judged on its own chips: {error} Those of a training are a copy: to "
            f"begin one with the chips as they are then, delete {site.successor}; or give others as held_out."
        ) from None
    keep = after >= before - config.worse_by
    found = Verdict(digest=digest, before=before, after=after, keep=keep, chips=read_card(chips).digest)
    write_json(file, found.model_dump(mode="json"))
    return found


def succeed(
    site: Site, config: NightlyConfig, model: Model, night: Night, command: Sequence[str], launch: Launch
) -> str:
    """Bring a training that is under way to its end, and say what came of it."""
    noted = json.loads((site.successor / PLAN).read_text(encoding="utf-8"))
    made = site.successor / "model"
    # Where a night was killed after it had put the successor in place only the rest is left to do.
    placed = (made / CARD_FILE).is_file() and model.origin.digest == model_digest(made)
    if noted["digest"] != model.origin.digest and not placed:
        _clear(site)
        return "the training under way was given up, for it began with a model that is not the current one"
    if placed and model.origin.verdict is not None:
        verdict = Verdict.model_validate(model.origin.verdict)
    else:
        train(site, config, command, launch)
        verdict = verdict_of(site, config, model)
        if verdict.keep:
            origin = Origin(
                source="successor",
                digest=verdict.digest,
                before=model.number,
                night=night.number,
                verdict=verdict.model_dump(mode="json"),
            )
            adopt(site, made, origin)
    after = Trained(
        states=noted["states"], time=night.time, night=night.number, verdict=verdict.model_dump(mode="json")
    )
    write_json(site.trained, after.model_dump(mode="json"))
    _clear(site)
    scores = f"mean IoU {verdict.before:.4f} before, {verdict.after:.4f} after"
    if verdict.keep:
        return f"a successor took the place of model {noted['number']} and maps from the next night: {scores}"
    return f"a successor was dropped, for it is worse on held-out chips: {scores}"


def _clear(site: Site) -> None:
    """Remove what is left of a training; the plan first, without which the rest is none."""
    (site.successor / PLAN).unlink(missing_ok=True)
    remove(site.successor)
