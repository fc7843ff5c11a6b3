"""Executors of a standalone cluster follow the links that the job was allowed, and no others."""

import json

import numpy as np
import pytest
import spark_cluster
from conftest import ROOT
from stack_writer import write_stack

from labeling.files.links import VARIABLE

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    with spark_cluster.standalone(tmp_path_factory.mktemp("cluster")) as url:
        yield url


@pytest.fixture
def item(tmp_path):
    """An item whose bands lie in another folder."""
    for folder in ("items", "data"):
        (tmp_path / folder).mkdir()
    scaling = {"raster:bands": [{"scale": 1e-4, "offset": -0.1}]}
    assets = {}
    for band in ("B02", "B03", "B04"):
        values = np.full((1, 60, 60), 3500, np.uint16)
        write_stack(tmp_path / f"data/{band}.tif", values, (None,), nodata=0)
        assets[band] = {"href": f"../data/{band}.tif", **scaling}
    properties = {"platform": "sentinel-2b", "datetime": "2024-03-01T20:38:59Z", "s2:product_type": "S2MSI1C"}
    content = {
        "type": "Feature", "stac_version": "1.0.0", "id": "a", "properties": properties, "assets": assets,
    }  # fmt: skip
    file = tmp_path / "items/item.json"
    file.write_text(json.dumps(content))
    return file


def test_what_the_job_is_allowed_its_executors_are(master, item, tmp_path):
    def label(*options, **variables):
        return spark_cluster.run(
            master, ROOT / "jobs/label.py", "--scenes", item, "--out", tmp_path / "run", "--cut", "always",
            "--profile", "iqrah-2024-l1c", "--outputs", "labels", *options,
            options=["--conf", f"spark.executorEnv.PYTHONPATH={ROOT}"],
            env={"PYTHONPATH": str(ROOT), **variables},
        )  # fmt: skip

    code, printed = label()
    assert code == 3, printed[-4000:]
    assert "--allow-links files" in printed
    code, printed = label("--allow-links", "files")
    assert code == 0, printed[-4000:]
    (tmp_path / "run/labels/a/done.json").unlink()
    code, printed = label(**{VARIABLE: "files"})
    assert code == 0, printed[-4000:]
