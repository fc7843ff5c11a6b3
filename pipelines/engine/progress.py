"""What a person sees while a Spark job runs: scenes and pixels done, rate, failures, time left.

    with progress("label", scenes=12, pixels=1_446_000_000) as shown:
        for wave in waves:
            steps = ("decode", "exclude"), ("compare", "write")
            with shown.wave(spark(), scenes=len(wave), pixels=…, steps=steps):
                …two Spark jobs, one after the other, of two stages each…
            shown.failed(2)

    label: compare ━━━━━━━━━━╸━━━━━━━━━━ 4/12 scenes 0.59/1.45 Gpx 14 Mpx/s 2 failed 0:01:00 left

Between waves the figures are exact. Inside one, pixels grow with the tasks of all steps that have ended, and
scenes with those of the last. Where standard error is no terminal, or the logs go there as JSON, nothing is
shown and Spark is not asked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Final

from pyspark.sql import SparkSession
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

from pipelines.engine import logs
from pipelines.engine.follow import NOTHING, Share, Stages, Steps, following, share_of

MEMORY: Final = 900.0
"""Seconds that the rate is averaged over: tasks take minutes and end in bunches."""


class Display:
    """What a job tells about its progress; nothing comes of it where nobody watches."""

    def __init__(self, bar: Progress | None, title: str, *, scenes: int, pixels: int) -> None:
        self._bar, self._title = bar, title
        self._all_scenes, self._all_pixels = scenes, pixels
        self._scenes = self._pixels = self._failures = 0
        self._show(NOTHING, 0, 0)

    @contextmanager
    def wave(self, spark: SparkSession, *, scenes: int, pixels: int, steps: Steps) -> Iterator[None]:
        """Follow the Spark jobs of the block; its scenes count as done at its end, however they ended."""
        if self._bar is None:
            yield
            return

        def show(jobs: Stages) -> None:
            self._show(share_of(jobs, steps), scenes, pixels)

        with following(spark.sparkContext, self._title, show):
            yield
        self._scenes += scenes
        self._pixels += pixels
        self._show(NOTHING, 0, 0)

    def failed(self, scenes: int) -> None:
        """Tell that so many more of the scenes have failed."""
        self._failures += scenes
        self._show(NOTHING, 0, 0)

    def _show(self, share: Share, scenes: int, pixels: int) -> None:
        """Draw what is done: the waves that ended, and a share of one of `scenes` and `pixels`."""
        if self._bar is None:
            return
        with suppress(Exception):  # whatever the terminal has done, the job goes on
            if not self._bar.tasks:
                self._bar.add_task(self._title, total=self._all_pixels, scenes="", failures="")
            task = self._bar.tasks[0]
            self._bar.update(
                task.id,
                description=f"{self._title}: {share.step}" if share.step else self._title,
                # A stage that Spark repeats has fewer tasks done than before; nobody wants to see that.
                completed=max(task.completed, self._pixels + share.tasks * pixels),
                scenes=f"{self._scenes + int(share.scenes * scenes)}/{self._all_scenes} scenes",
                failures=f"{self._failures} failed" if self._failures else "",
                refresh=True,
            )


@contextmanager
def progress(title: str, *, scenes: int, pixels: int, console: Console | None = None) -> Iterator[Display]:
    """Show a job's progress over so many scenes and pixels, on standard error, where that is a terminal."""
    # Asked of the stream alone: rich would also take FORCE_COLOR for a terminal.
    console = console or Console(stderr=True, force_terminal=sys.stderr.isatty())
    if not console.is_terminal or console.is_dumb_terminal or logs.is_json():
        yield Display(None, title, scenes=scenes, pixels=pixels)
        return
    bar = _bar(console)
    with suppress(Exception):  # as in Display
        bar.start()
    try:
        yield Display(bar, title, scenes=scenes, pixels=pixels)
    finally:
        with suppress(Exception):
            bar.stop()


def _bar(console: Console) -> Progress:
    whole = Column(no_wrap=True)
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=whole),
        BarColumn(bar_width=None),  # takes what the others leave
        TextColumn("{task.fields[scenes]}", table_column=whole),
        _Pixels(whole),
        TextColumn("{task.fields[failures]}", style="red", table_column=whole),
        _TimeLeft(whole),
        console=console,
        expand=True,
        speed_estimate_period=MEMORY,
        # Drawn by whoever has news, so that there is no second thread that could fail.
        auto_refresh=False,
        transient=True,
        # What a job prints to standard output may go to a file, and belongs there.
        redirect_stdout=False,
    )


class _Pixels(ProgressColumn):
    """Pixels done of all, and the rate."""

    def render(self, task: Task) -> Text:
        unit, name = (1e9, "Gpx") if (task.total or 0) >= 1e9 else (1e6, "Mpx")
        total = (task.total or 0) / unit
        digits = 0 if total >= 100 else 1 if total >= 10 else 2
        text = f"{task.completed / unit:.{digits}f}/{total:.{digits}f} {name}"
        return Text(f"{text} {task.speed / 1e6:.3g} Mpx/s" if task.speed else text)


class _TimeLeft(ProgressColumn):
    """Time left at the rate so far."""

    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text("" if left is None else f"{timedelta(seconds=int(left))} left")
