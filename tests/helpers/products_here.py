"""Products made in this process, without Spark: the functions that workers run, one part after another."""

import json

import pandas as pd

import pipelines.products.product
from pipelines.engine.scenes import Failure
from pipelines.products.config import ProductsConfig
from pipelines.products.job import run
from pipelines.products.parts import fill_parts


def make_here(spark, job, parts, title):
    """Stand in for parts.make_parts."""
    failures = []
    for part in parts:
        if job.is_done(part):
            continue
        row = {"scene_id": part.name, "inputs": json.dumps(part.inputs), "task": json.dumps(part.task)}
        (frame,) = fill_parts(iter([pd.DataFrame([row])]), job)
        error = frame["error"][0]
        if error is not None:
            failures.append(Failure(part.name, title, error))
    return failures


def products_here(monkeypatch, run_folder, *names, **options):
    """Run the job in this process; return its outcome."""
    monkeypatch.setattr(pipelines.products.product, "make_parts", make_here)
    return run(ProductsConfig(run=run_folder.root, products=list(names), **options))
