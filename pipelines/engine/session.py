"""The Spark session every job shares, and the settings that keep results independent of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache
from threading import Thread
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JError  # type: ignore[import-untyped] # no type information is published
from pyspark import SparkContext
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType
from pyspark.util import inheritable_thread_target

from labeling.errors import ConfigError
from labeling.files.links import VARIABLE
from labeling.in_time import in_time
from pipelines.engine import java
from pipelines.engine.daemon import started_ahead
from pipelines.engine.environment import check_java, settle_python, settle_spark, worker_fault
from pipelines.engine.settings import SparkSettings
from pipelines.secure.folders import private_folders
from pipelines.secure.properties import LOCAL, submit_arguments


@contextmanager
def spark_session(app: str, settings: SparkSettings) -> Iterator[SparkSession]:
    """Yield a session and stop it afterwards.

    Under spark-submit its master and options are used; otherwise one is made on `settings.master` or on all
    local cores. ConfigError where Java or Python is not what Spark needs, or workers cannot import the code.
    """
    mine = not _under_spark_submit()
    settle_python(ours=mine and _local(settings.master or "local"))
    if mine and SparkContext._gateway is None:
        settle_spark()
        check_java()
    builder = SparkSession.builder.appName(app)
    options = {
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        # progress.py shows more, and two displays would clash. It asks Spark how far tasks are.
        "spark.ui.showConsoleProgress": "false",
        "spark.ui.liveUpdate.period": "0",
        # Few, costly rows: merging partitions would run them one after the other.
        "spark.sql.adaptive.enabled": "false",
        # One task for each row of the tables of work that the driver makes, see `one_task_each`.
        "spark.sql.leafNodeDefaultParallelism": "1000000",
        # Compiling a plan costs a second, and ours hand rows to Python only.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
        # A row stands for up to minutes of work; hand them out one by one.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
    }
    if VARIABLE in os.environ:
        options[f"spark.executorEnv.{VARIABLE}"] = os.environ[VARIABLE]
    if not _under_spark_submit():
        # Four attempts, as on a cluster: one worker that is killed must not end the job.
        options["spark.master"] = settings.master or "local[*,4]"
        options["spark.python.daemon.module"] = "pipelines.engine.daemon"
        options["spark.driver.memory"] = settings.driver_memory
        options["spark.driver.extraJavaOptions"] = java.options()
        # Spark's shell script starts a Java of its own, only to put the real one's command together.
        os.environ.setdefault("SPARK_LAUNCHER_OPTS", java.QUICK)
        if _local(options["spark.master"]):
            # Everything stays on this machine, whatever its name resolves to, and with this user.
            os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
            options |= LOCAL
        elif arguments := submit_arguments(options["spark.master"], settings.properties):
            os.environ["PYSPARK_SUBMIT_ARGS"] = arguments
    elif settings.master:
        options["spark.master"] = settings.master
    for key, value in options.items():
        builder = builder.config(key, value)
    # A Java that runs already does not know of a daemon that is started now.
    ours = not _under_spark_submit() and SparkContext._gateway is None
    here = ours and _local(options["spark.master"])
    with private_folders() if here else nullcontext(), started_ahead() if here else nullcontext():
        with java.without_its_notice() if ours else nullcontext():
            session = builder.getOrCreate()
        session.sparkContext.setLogLevel("ERROR")
        try:
            yield session
        except (PySparkException, Py4JError) as error:
            if (fault := worker_fault(error)) is not None:
                raise ConfigError(fault) from error
            raise
        finally:
            _stop(session)


def _stop(session: SparkSession) -> None:
    """Stop a session, and do not wait for PySpark's server of accumulators: that takes a second."""
    context = session.sparkContext
    Thread(target=context._accumulatorServer.shutdown, daemon=True).start()
    context._accumulatorServer = None  # type: ignore[assignment]  # as PySpark does itself
    session.stop()


@contextmanager
def lazy_session(app: str, settings: SparkSettings) -> Iterator[Callable[[], SparkSession]]:
    """Yield a function that makes the session when first called: a run with nothing to do starts no Java."""
    with ExitStack() as stack:
        yield cache(lambda: stack.enter_context(spark_session(app, settings)))


def one_task_each(spark: SparkSession, work: list[dict[str, Any]], schema: StructType) -> DataFrame:
    """Return a table of `work` whose rows are tasks of their own.

    A shuffle would deal rows out by chance, several to one task and none to another, and Spark's optimiser
    drops what would make it deal evenly. A table that the driver holds is cut evenly, by a setting of the
    session, and no Python worker has to make it first.
    """
    rows = pa.Table.from_pylist(work, schema=to_arrow_schema(schema))
    return spark.createDataFrame(rows, schema)


def collect(frame: DataFrame) -> list[Row]:
    """Return the rows of a table. SIGTERM is obeyed meanwhile, and the session can be stopped in good order.

    A signal that interrupts a call to Java leaves its answer unread, and the next call would wait for its own
    until this one is done. So the call is made by another thread, which has a connection of its own.
    """
    return in_time(inheritable_thread_target(frame.sparkSession)(frame.collect))


def _local(master: str) -> bool:
    return master.startswith("local")


def _under_spark_submit() -> bool:
    return "PYSPARK_GATEWAY_PORT" in os.environ
