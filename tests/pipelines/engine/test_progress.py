"""Progress: what is drawn, for whom, and that no trouble with drawing ever reaches the job."""

import io
import re
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from pyspark import SparkStageInfo
from rich.console import Console

from pipelines.engine import follow, logs, progress
from pipelines.engine.follow import Share, share_of, stages_of

STEPS = (("decode", "exclude"), ("compare", "write"))
GIGA = 1_000_000_000


def stage(number, tasks, done=0, active=0):
    return SparkStageInfo(number, 0, "stage", tasks, active, done, 0)


class Spark:
    """Stands for a session: holds what its tracker tells, and who asked."""

    def __init__(self, *jobs):
        self.jobs = list(jobs)
        self.properties = {"spark.jobGroup.id": "of the caller"}
        self.asked = threading.Event()

    @property
    def sparkContext(self):  # noqa: N802 - Spark's own name
        return self

    def statusTracker(self):  # noqa: N802
        return self

    def getLocalProperty(self, key):  # noqa: N802
        return self.properties.get(key)

    def setLocalProperty(self, key, value):  # noqa: N802
        self.properties[key] = value

    def setJobGroup(self, group, description):  # noqa: N802
        self.properties["spark.jobGroup.id"] = group

    def getJobIdsForGroup(self, group):  # noqa: N802
        assert group == self.properties["spark.jobGroup.id"]
        return reversed(range(len(self.jobs) + 1))

    def getJobInfo(self, job):  # noqa: N802
        self.asked.set()
        if job == len(self.jobs):
            return None  # not yet known
        return SimpleNamespace(stageIds=[99, *(stage.stageId for stage in reversed(self.jobs[job]))])

    def getStageInfo(self, number):  # noqa: N802
        return next((stage for stages in self.jobs for stage in stages if stage.stageId == number), None)


class Terminal(io.StringIO):
    """Remembers what is drawn."""

    def __init__(self):
        super().__init__()
        self._news = threading.Condition()

    def write(self, text):
        with self._news:
            count = super().write(text)
            self._news.notify_all()
            return count

    def wait_for(self, pattern):
        with self._news:
            assert self._news.wait_for(lambda: re.search(pattern, self.getvalue()), 60), self.getvalue()


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(follow, "EVERY", 0.01)
    return Terminal()


def console(file, width=100):
    return Console(file=file, force_terminal=True, width=width, color_system=None, _environ={})


class TestShare:
    def test_tasks_of_all_steps_and_of_the_last(self):
        first = [stage(1, 10, done=10), stage(2, 5, done=5)]
        second = [stage(4, 6, done=6), stage(5, 4, done=1, active=2)]
        assert share_of([first, second], STEPS) == Share(0.5 + 0.5 * 7 / 10, 1 / 4, "write")

    def test_a_job_that_has_not_begun_is_not_done(self):
        first = [stage(1, 10, done=10), stage(2, 5, done=5)]
        assert share_of([first], STEPS) == Share(0.5, 0.0, "exclude")
        assert share_of([first, []], STEPS) == Share(0.5, 0.0, "exclude")

    def test_stages_that_spark_puts_before_the_steps_do_not_count(self):
        jobs = [[stage(0, 500, done=7), stage(1, 4, done=1)]]
        assert share_of(jobs, (("map",),)) == Share(0.25, 0.25, "map")

    def test_with_fewer_stages_than_steps_the_last_steps_are_meant(self):
        assert share_of([[stage(1, 4, active=1)]], STEPS[1:]) == Share(0.0, 0.0, "write")

    @pytest.mark.parametrize("jobs", [[], [[]], [[stage(1, 0)]], [[stage(1, 3), stage(2, 3)]], [[], []]])
    def test_nothing_begun(self, jobs):
        assert share_of(jobs, STEPS) == Share(0.0, 0.0, "")

    def test_all_done(self):
        jobs = [[stage(n, 2, done=2) for n in range(start, start + 3)] for start in (0, 3)]
        assert share_of(jobs, STEPS) == Share(1.0, 1.0, "write")

    def test_jobs_and_stages_come_in_order_and_the_unknown_are_left_out(self):
        spark = Spark([stage(7, 1), stage(8, 2)], [stage(9, 3)])
        assert stages_of(spark, "of the caller") == [*spark.jobs, []]


class TestShown:
    def test_a_job_of_two_waves(self, terminal):
        spark = Spark()
        with progress.progress("label", scenes=6, pixels=4 * GIGA, console=console(terminal)) as shown:
            terminal.wait_for("0/6 scenes 0.00/4.00 Gpx")
            with shown.wave(spark, scenes=4, pixels=2 * GIGA, steps=STEPS):
                spark.jobs.append([stage(0, 2), stage(1, 4, done=4), stage(2, 4, done=1, active=2)])
                terminal.wait_for("label: exclude")
                terminal.wait_for("0/6 scenes 0.62/4.00 Gpx")
                spark.jobs[0] = [stage(0, 2), stage(1, 4, done=4), stage(2, 4, done=4)]
                spark.jobs.append([stage(3, 2), stage(4, 3, done=3), stage(5, 2, done=1, active=1)])
                terminal.wait_for("label: write")
                terminal.wait_for("2/6 scenes 1.80/4.00 Gpx")
            terminal.wait_for("4/6 scenes 2.00/4.00 Gpx")
            shown.failed(1)
            terminal.wait_for("1 failed")
            with shown.wave(spark, scenes=2, pixels=2 * GIGA, steps=STEPS):
                pass
            shown.failed(2)
            terminal.wait_for("6/6 scenes 4.00/4.00 Gpx")
            terminal.wait_for("3 failed")

    def test_rate_and_time_left(self, terminal):
        now = [0.0]
        clocked = Console(
            file=terminal, force_terminal=True, width=100, color_system=None, get_time=lambda: now[0]
        )
        with progress.progress("label", scenes=4, pixels=400_000_000, console=clocked) as shown:
            for _ in range(2):
                with shown.wave(Spark(), scenes=1, pixels=100_000_000, steps=STEPS):
                    now[0] += 25
            assert "200/400 Mpx 4 Mpx/s" in terminal.getvalue()
            assert "0:00:50 left" in terminal.getvalue()

    def test_a_stage_that_is_repeated_does_not_turn_the_display_back(self, terminal):
        spark = Spark([stage(1, 10, done=9, active=1)])
        with progress.progress("infer", scenes=1, pixels=GIGA, console=console(terminal)) as shown:
            with shown.wave(spark, scenes=1, pixels=GIGA, steps=(("map",),)):
                terminal.wait_for("0.90/1.00 Gpx")
                spark.jobs[:] = [[stage(1, 10, done=1, active=2)]]
                drawn = len(terminal.getvalue())
                for _ in range(3):  # the look before may have begun before
                    spark.asked.clear()
                    assert spark.asked.wait(60)
            assert "0.10/1.00" not in terminal.getvalue()[drawn:]

    def test_the_longest_line_fits_eighty_columns(self, terminal):
        narrow = console(terminal, width=80)
        with progress.progress("label", scenes=1200, pixels=144_600_000_000, console=narrow) as shown:
            spark = Spark([stage(1, 10, done=4, active=1)])
            with shown.wave(spark, scenes=1000, pixels=144_000_000_000, steps=(("exclude",),)):
                terminal.wait_for("label: exclude")
                shown.failed(13)
            lines = terminal.getvalue().splitlines()
        assert "…" not in terminal.getvalue()
        assert not [line for line in lines if "scenes" in line and "Gpx" not in line]

    def test_the_line_is_wiped_at_the_end_also_after_an_error(self, terminal):
        with (
            pytest.raises(ZeroDivisionError),
            progress.progress("label", scenes=1, pixels=1, console=console(terminal)),
        ):
            raise ZeroDivisionError
        assert terminal.getvalue().endswith("\x1b[1A\x1b[2K")

    def test_what_is_printed_meanwhile_stays_where_it_belongs(self, terminal, capsys):
        with progress.progress("label", scenes=1, pixels=1, console=console(terminal)):
            print("a result")
            print("a message", file=sys.stderr)
        assert capsys.readouterr() == ("a result\n", "")
        assert "a message" in terminal.getvalue()


class TestQuiet:
    @pytest.fixture(params=["no terminal", "dumb", "json"])
    def quiet(self, request, monkeypatch):
        if request.param == "json":
            monkeypatch.setattr(logs, "is_json", lambda: True)
        return Console(
            file=io.StringIO(),
            force_terminal=request.param != "no terminal",
            _environ={"TERM": "dumb"} if request.param == "dumb" else {},
        )

    def test_nothing_is_drawn_and_spark_is_left_alone(self, quiet):
        threads = threading.active_count()
        with progress.progress("label", scenes=1, pixels=1, console=quiet) as shown:
            with shown.wave(None, scenes=1, pixels=1, steps=STEPS):
                assert threading.active_count() == threads
            shown.failed(1)
        assert quiet.file.getvalue() == ""

    def test_a_pipe_is_no_terminal_whatever_colours_are_forced(self, monkeypatch, capsys):
        monkeypatch.setenv("FORCE_COLOR", "1")
        with progress.progress("label", scenes=1, pixels=1) as shown:
            shown.failed(1)
        assert capsys.readouterr() == ("", "")


class TestTrouble:
    def test_a_tracker_that_fails_is_asked_again(self, terminal):
        spark = Spark([stage(1, 2, done=1, active=1)])
        tell, failures = spark.getJobInfo, [RuntimeError, ConnectionError, KeyError]

        def fail_at_first(job):
            if failures:
                raise failures.pop()
            return tell(job)

        spark.getJobInfo = fail_at_first
        with (
            progress.progress("label", scenes=1, pixels=GIGA, console=console(terminal)) as shown,
            shown.wave(spark, scenes=1, pixels=GIGA, steps=(("map",),)),
        ):
            terminal.wait_for("0.50/1.00 Gpx")
        assert failures == []

    @pytest.mark.parametrize("error", [OSError, ValueError])
    def test_a_terminal_that_goes_away_does_not_matter(self, terminal, monkeypatch, error):
        def gone(_):
            raise error

        spark = Spark([stage(1, 2, done=1, active=1)])
        with progress.progress("label", scenes=1, pixels=1, console=console(terminal)) as shown:
            monkeypatch.setattr(terminal, "write", gone)
            with shown.wave(spark, scenes=1, pixels=1, steps=(("map",),)):
                spark.asked.clear()
                assert spark.asked.wait(60)
            shown.failed(1)

    def test_the_jobs_own_error_comes_through_and_the_thread_ends(self, terminal):
        spark = Spark()

        def broken(*_):
            raise ConnectionError("Spark has died")

        def job():
            spark.setLocalProperty = broken
            raise ZeroDivisionError

        with (
            pytest.raises(ZeroDivisionError),
            progress.progress("label", scenes=1, pixels=1, console=console(terminal)) as shown,
            shown.wave(spark, scenes=1, pixels=1, steps=STEPS),
        ):
            job()
        assert "progress" not in [thread.name for thread in threading.enumerate()]

    def test_a_wave_that_failed_is_not_done(self, terminal):
        with progress.progress("label", scenes=3, pixels=3, console=console(terminal)) as shown:
            with pytest.raises(ZeroDivisionError), shown.wave(Spark(), scenes=3, pixels=3, steps=STEPS):
                raise ZeroDivisionError
            shown.failed(0)
        assert "3/3 scenes" not in terminal.getvalue()

    def test_the_callers_job_group_comes_back(self, terminal):
        spark = Spark()
        with (
            progress.progress("label", scenes=1, pixels=1, console=console(terminal)) as shown,
            shown.wave(spark, scenes=1, pixels=1, steps=STEPS),
        ):
            assert spark.properties["spark.jobGroup.id"].startswith("polynya-")
        assert spark.properties["spark.jobGroup.id"] == "of the caller"

    def test_a_look_that_hangs_does_not_keep_the_job(self, terminal, monkeypatch):
        monkeypatch.setattr(follow, "PATIENCE", 0.01)
        spark, waiting = Spark([stage(1, 1, done=1)]), threading.Event()

        def hang(number):
            spark.asked.set()
            waiting.wait(60)
            return stage(1, 1, done=1)

        spark.getStageInfo = hang
        with progress.progress("label", scenes=2, pixels=2 * GIGA, console=console(terminal)) as shown:
            with shown.wave(spark, scenes=1, pixels=GIGA, steps=(("map",),)):
                assert spark.asked.wait(60)
            late = [thread for thread in threading.enumerate() if thread.name == "progress"]
            waiting.set()
            for thread in late:
                thread.join(60)
            assert late
        assert "2.00/2.00" not in terminal.getvalue()


@pytest.mark.slow
def test_a_real_spark_job_is_followed_task_by_task(terminal, tmp_path):
    from pyspark.sql import types as T

    from pipelines.engine.session import lazy_session, one_task_each
    from pipelines.engine.settings import SparkSettings

    def wait_to_go_on(frames):
        from pyspark import TaskContext

        time.sleep(0.15)  # Spark tells of two tasks that end within 0.1 s when the next one ends
        late = TaskContext.get().partitionId() >= 4
        deadline = time.monotonic() + 120  # the test then fails, and does not hang
        while late and not (tmp_path / "go on").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        yield from frames

    def same(frame):
        return frame

    def let_go_when_seen():
        terminal.wait_for("label: map")
        terminal.wait_for(r"0\.[1-4]0/1\.00 Gpx")  # one to four of ten tasks
        (tmp_path / "go on").touch()

    with lazy_session("test", SparkSettings(master="local[2]")) as spark:
        rows = one_task_each(
            spark(), [{"i": i} for i in range(6)], T.StructType([T.StructField("i", T.IntegerType())])
        )
        mapped = rows.mapInPandas(wait_to_go_on, "i int")
        finished = mapped.repartition(4, "i").groupBy("i").applyInPandas(same, "i int")
        helper = threading.Thread(target=let_go_when_seen)
        helper.start()
        with progress.progress("label", scenes=6, pixels=GIGA, console=console(terminal)) as shown:
            with shown.wave(spark(), scenes=6, pixels=GIGA, steps=(("map", "finish"),)):
                assert len(finished.collect()) == 6
            terminal.wait_for("6/6 scenes 1.00/1.00 Gpx")
        helper.join()
        assert (tmp_path / "go on").exists()
        assert spark().sparkContext.getLocalProperty("spark.jobGroup.id") is None
