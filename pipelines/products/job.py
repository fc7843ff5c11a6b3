"""Products of a run with Spark: what its maps say together.

maps/<scene_id> -> parts, a task each -> products/<product>/
"""

from __future__ import annotations

import time
from pathlib import Path

from labeling.errors import ConfigError, ModelError, SceneError
from labeling.files.atomic import PARTS, remove
from labeling.files.layout import Run, make_run, record_failures, record_job
from labeling.files.locks.folder import run_lock
from pipelines.catalog import read_catalog
from pipelines.engine.outcome import Outcome
from pipelines.engine.scenes import Failure
from pipelines.engine.session import lazy_session
from pipelines.products.config import ProductsConfig
from pipelines.products.maps import find_maps
from pipelines.products.product import Work
from pipelines.products.registry import PRODUCTS


def run(config: ProductsConfig) -> Outcome:
    """Make the products that are missing or out of date; write what failed to failures.jsonl.

    A product that cannot be made with this configuration does not keep the others from being made; it is a
    ConfigError when they are.
    """
    started = time.time()
    read_catalog(Run(config.run.absolute()))  # so that no folder is made for a run that is none
    run = make_run(config.run)
    with run_lock(run, "products"):
        return _make(config, run, started)


def _make(config: ProductsConfig, run: Run, started: float) -> Outcome:
    if isinstance(run.products, Path):
        for leftover in run.products.rglob(PARTS):
            remove(leftover)
    maps, without = find_maps(run, config)
    record_failures(run, "products", [failure._asdict() for failure in without])
    failures, refused = list(without), []
    with lazy_session("polynya products", config.spark) as spark:
        for name in config.products:
            try:
                found = PRODUCTS[name].make(Work(name, run, config, maps, spark))
            except (ConfigError, ModelError, SceneError) as error:
                refused.append(f"{name}: {error}")
                found = [Failure(name, name, str(error))]
            else:
                failures += found
            record_failures(run, f"products-{name}", [failure._asdict() for failure in found])
    failed = {failure.scene for failure in failures}
    done = sum(each.scene_id not in failed for each in maps)
    summary = {"scenes_done": done, "scenes_failed": len(failed), "products": list(config.products)}
    record_job(run, "products", started, config.model_dump(mode="json"), summary)
    if refused:
        raise ConfigError(" ".join(refused))
    return Outcome(done, tuple(failures))
