"""A night: label what is new, map it, evaluate, add to the series, make products, report, train, clear up.

Every step does what is missing or changed only, so a night that was killed is gone on with by the next one.
A step that goes wrong is told and does not keep those from their work that do without it; the night ends with
the error of the first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from labeling.errors import ConfigError, ModelError, PolynyaError, describe
from labeling.files.locks.folder import folder_lock
from labeling.files.uri import absolute
from labeling.text import encodable
from pipelines import evaluate, infer, label
from pipelines.catalog import read_catalog
from pipelines.engine.outcome import ExitCode, Outcome
from pipelines.engine.scenes import CatalogRow, Failure
from pipelines.evaluation.record import read_evaluation
from pipelines.nightly import retention, successor
from pipelines.nightly.config import NightlyConfig
from pipelines.nightly.figures import find_scenes
from pipelines.nightly.models import Model, current
from pipelines.nightly.page import write_page
from pipelines.nightly.series import AWAY, Night, merge, out_of_reach
from pipelines.nightly.series_file import read_series, write_series
from pipelines.nightly.site import Site, open_site, remove_half_written
from pipelines.nightly.status import (
    Status,
    close,
    notes_on,
    read_status,
    recorded,
    try_status,
    write_status,
)
from pipelines.nightly.successor import Launch
from pipelines.products import job as products
from pipelines.report.page import write_report

_LOG: Final = logging.getLogger("polynya.nightly")


def run(config: NightlyConfig, train: Sequence[str], launch: Launch | None = None) -> Outcome:
    """Do a night; `train` is the command of jobs.train, and `launch` starts it as ranks of this machine.

    ConfigError where another night is under way, and for what no step can do without: settings, a model, a
    series that can be read. What goes wrong in a step is raised when the others are done.
    """
    site = open_site(config.out)
    with folder_lock(site.root, "nightly"):
        remove_half_written(site)
        try:
            work = Work(config, site, train, launch or _launch)
        except PolynyaError as error:
            _refuse(site, error)
            raise
        return work.run()


def _refuse(site: Site, error: PolynyaError) -> None:
    """Write the status of a night that cannot begin, so that nobody takes the last one's for it."""
    last, _ = read_status(site)
    now, told = datetime.now(UTC).replace(microsecond=0), {"begin": describe(error)}
    number = last.night + 1 if last else 1
    if last is None or last.state == "ended":  # else what it found is news yet
        clock, failed = (last.latest, last.failed) if last else (None, {})
        last = Status(night=number, started=now, clock=clock, failed=failed)
    ended = {"night": number, "state": "stopped", "step": "begin", "started": now, "ended": now}
    status = last.model_copy(update={**ended, "exit_code": worst([error]), "problems": told})
    try_status(site, status.model_copy(update={"summary": status.line()}))


def _launch(command: Sequence[str], ranks: int) -> int:
    from training.launch.run import launch  # only now: it loads Horovod

    return launch(command, ranks)


class Work:
    """What a night knows while it lasts."""

    def __init__(self, config: NightlyConfig, site: Site, train: Sequence[str], launch: Launch) -> None:
        self.config, self.site, self._train, self._launch = config, site, train, launch
        last, wrong = read_status(site)
        # Of a night that did not come to its end nobody has been told: what it found is this one's news.
        self._untold = last if last is not None and last.state != "ended" else None
        failed, first = (last.failed, self._untold.failed_first if self._untold else ()) if last else ({}, ())
        self._failed_before = failed.keys() - set(first)
        self.rows, repaired = read_series(site)
        number = max([last.night if last else 0, *recorded(site), *(row.night for row in self.rows)]) + 1
        now = datetime.now(UTC).replace(microsecond=0)
        # What changes while the clock is behind would count as changed long ago once it is right again.
        self.night = Night(number, max(now, last.latest) if last else now)
        self.model: Model = current(site, config.model)
        if repaired:
            self._set_aside()
        notes = (*filter(None, [wrong, repaired]), *notes_on(site, last, now))
        self.status = Status(
            night=number, started=now, clock=self.night.time, model=self.model.number, notes=notes,
            failed=failed, failed_first=first,
        )  # fmt: skip
        self._failures: dict[str, Failure] = {}
        self._errors: list[Exception] = []
        self._scenes: list[CatalogRow] = []  # of the catalogue, once they are labelled
        self._labelled: list[str] = []

    def run(self) -> Outcome:
        """Do all steps and return what failed; the first error of a step is raised at the end."""
        write_status(self.site, self.status)
        try:
            if self._step("label", self.label):
                mapped = self._step("map", self.map)
                if mapped:
                    self._step("evaluate", self.evaluate)
                written = self._step("series", self.series)
                if mapped and self.config.products is not None:
                    self._step("products", self.products)
                if written:
                    self._step("report", self.report)
                    self._step("successor", self.successor)
                    self._step("retention", self.retention)
        except BaseException as end:
            self._end("stopped", _exit_code(end))
            raise
        outcome = Outcome(self.status.scenes, tuple(self._failures.values()))
        self._end("ended", worst(self._errors) or outcome.exit_code)
        if self._errors:
            code = worst(self._errors)
            raise next(error for error in self._errors if worst([error]) == code)
        return outcome

    # --- steps ---

    def label(self) -> None:
        """Label what is new or changed, and cut chips."""
        config = self.config.label_config()
        outcome = label.run(config)
        self._note_failures(outcome)
        failed = {failure.scene for failure in outcome.failures if failure.step == "label"}
        self._scenes = read_catalog(self.site.run)
        self._labelled = [row.info.uri for row in self._scenes if row.scene_id not in failed]

    def map(self) -> None:
        """Map what is labelled, with the current model."""
        if self._labelled:
            config = self.config.infer_config(self.model.folder, self._labelled)
            self._note_failures(infer.run(config, self._scenes))

    def evaluate(self) -> None:
        """Compare maps and labels on test chips, where there are any."""
        if not (self.site.run.chips / "chips.json").is_file():
            self._note("no chips were cut, so nothing was evaluated")
            return
        self._note_failures(evaluate.run(self.config.evaluate_config(), self._scenes))
        found = read_evaluation(self.site.run.evaluation)
        agreement = found.agreement_with_automatic_labels if found else None
        if agreement is not None:
            self._update(agreement=agreement.mean_iou)

    def series(self) -> None:
        """Write a line for every scene that is labelled as it is now, and mark those that are not."""
        found = find_scenes(self.site.run, self._scenes)
        self.rows, changes = merge(self.rows, found, self._reasons(), self.night)
        write_series(self.site, self.rows)
        there = [row for row in self.rows if row.state == "good"]
        doubted = tuple(row.scene for row in there if row.figures["doubts"])
        self._update(scenes=len(there), doubted=doubted)
        for name, scenes in changes._asdict().items():
            untold = getattr(self._untold, name, ())
            self._update(**{name: tuple(dict.fromkeys([*untold, *scenes]))})

    def products(self) -> None:
        """Make what the configuration asks for of all maps together, unless some of them are out of reach.

        Where a folder, list or pattern could not be opened, an archive may be half there, for this night.
        """
        away = out_of_reach(self.rows, self._reasons(), self.night.number)
        if away:
            self._note(
                f"products stay as they were: of {len(away)} scene(s) in them, such as {away[0]}, the "
                "folder, list or pattern could not be opened. Bring it back, or leave it out of scenes; "
                f"after {AWAY} nights they are made without."
            )
            return
        self._note_failures(products.run(self.config.products_config()))

    def report(self) -> None:
        """Write the run's report, and the morning's page."""
        write_report(self.site.run, self.config.palette, self.config.pictures, self._scenes)
        self._page()

    def successor(self) -> None:
        """Train, judge and put in place a successor, where one is due or under way."""
        states = sum(row.states for row in self.rows)
        since = successor.read_trained(self.site, self.night)
        if not successor.under_way(self.site):
            found = successor.due(self.config.when, states, since, self.night.time)
            if not found.now:
                self._update(training=found.text)
                return
            successor.plan(self.site, self.config, self.model, states)
        self._update(training="a successor is being trained")
        done = successor.succeed(self.site, self.config, self.model, self.night, self._train, self._launch)
        self._update(training=done)

    def retention(self) -> None:
        """Delete what nobody goes back to."""
        model = current(self.site, None)
        for done in retention.clear(self.site, self.config.retention, model, self.rows, self.night.time):
            self._note(done)

    # --- how ---

    def _step(self, name: str, work: Callable[[], None]) -> bool:
        """Do a step; return whether it went well. What went wrong is noted, whatever it is."""
        self._update(step=name)
        try:
            work()
        except Exception as error:
            _LOG.warning("step %s: %s", name, describe(error))
            self._errors.append(error)
            self._update(problems={**self.status.problems, name: describe(error)})
            return False
        return True

    def _reasons(self) -> dict[str, str]:
        """Return why scenes failed, by names as the series knows them; a configuration's may be relative."""
        return {
            encodable(absolute(name) if failure.step == "open" else name): failure.reason
            for name, failure in self._failures.items()
        }

    def _page(self) -> None:
        write_page(self.site, self.status, self.rows, self.config.palette)

    def _note_failures(self, outcome: Outcome) -> None:
        for failure in outcome.failures:
            self._failures.setdefault(failure.scene, failure)
        failed = {encodable(name): failure.reason for name, failure in self._failures.items()}
        first = tuple(sorted(failed.keys() - self._failed_before))
        self._update(failed=failed, failed_first=first)

    def _note(self, text: str) -> None:
        self._update(notes=(*self.status.notes, text))

    def _update(self, **changed: Any) -> None:
        self.status = self.status.model_copy(update=changed)
        try_status(self.site, self.status)

    def _end(self, state: str, code: int) -> None:
        now = datetime.now(UTC).replace(microsecond=0)
        self.status = self.status.model_copy(update={"state": state, "ended": now, "exit_code": code})
        self.status = self.status.model_copy(update={"summary": self.status.line()})
        print(f"nightly: {self.status.summary}", flush=True)
        last: list[Callable[[], None]] = [lambda: close(self.site, self.status, self.config.retention.nights)]
        if self.site.page.exists():
            last.append(self._page)
        for work in last:
            try:
                work()
            except Exception as error:  # the night's own end counts more
                _LOG.warning("the end of the night: %s", describe(error))
                self._errors.append(error)

    def _set_aside(self) -> None:
        """Keep a damaged file of the series under another name, whatever may be read from it yet."""
        if self.site.series.exists():
            aside = f"series-damaged-{self.night.number:04d}.parquet"
            self.site.series.replace(self.site.root / aside)


def worst(errors: Sequence[Exception]) -> ExitCode:
    """Return the exit code of a night with these errors of its steps; 0 without any."""
    if not errors:
        return ExitCode.DONE
    usage = all(isinstance(error, ConfigError | ModelError) for error in errors)
    return ExitCode.USAGE if usage else ExitCode.ERROR


def _exit_code(end: BaseException) -> int:
    code = end.code if isinstance(end, SystemExit) else None
    return code if isinstance(code, int) else int(ExitCode.ERROR)
