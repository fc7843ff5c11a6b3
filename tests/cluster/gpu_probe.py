"""A job that says what each task was given by Spark, and what its worker shows CUDA when it has a model."""

import json
import os
import sys
from functools import partial
from pathlib import Path

import pandas as pd
from pyspark import TaskContext
from pyspark.sql import SparkSession

from pipelines.worker_gpu import predictor


def look(frames, model):
    for _ in frames:
        predictor(model, "digest")
        given = TaskContext.get().resources()
        row = {
            "given": given["gpu"].addresses[0] if given else "",
            "shown": os.environ.get("CUDA_VISIBLE_DEVICES"),
            "process": os.getpid(),
        }
        yield pd.DataFrame([row])


spark = SparkSession.builder.getOrCreate()
tasks = spark.range(0, 8, 1, 8)
rows = tasks.mapInPandas(partial(look, model=Path(sys.argv[1])), "given string, shown string, process long")
Path(sys.argv[2]).write_text(json.dumps([row.asDict() for row in rows.collect()]))
spark.stop()
