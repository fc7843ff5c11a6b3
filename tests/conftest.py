"""Fixtures shared by all tests: small seeded pictures and, where present, real ones."""

import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import settings

# No test measures time: the machine may be busy. Continuous integration judges a commit, by the same examples
# every time; elsewhere each run draws new ones.
settings.register_profile("polynya", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("polynya")

# What tests compare was computed on processors. Those that are about GPUs say which there are.
os.environ["CUDA_VISIBLE_DEVICES"] = ""

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(Path(__file__).parent / "helpers"))

from one_session import one_session  # noqa: E402 - found by the line above

pytest_plugins = ["two_ranks", "slurm_lab", "small_disk"]

DATA = Path(os.environ.get("POLYNYA_DATA", ROOT.parent / "shared" / "data"))


def real_picture(name):
    """Read a real picture, (height, width, 3) R, G, B, or skip with the reason."""
    path = DATA / "ross-sea" / name
    if not path.exists():
        pytest.skip(f"real data not present: {path} (POLYNYA_DATA names another folder)")
    return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)


def pytest_collection_modifyitems(items):
    """Begin with the files that take long, so that processes which share the tests end at about one time."""
    ranks = {}
    for item in items:
        rank = next((i for i, name in enumerate(("cluster", "slow")) if item.get_closest_marker(name)), 2)
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: ranks[item.path])


@pytest.fixture(params=["sceneA_rgb.png", "sceneC_cloudy_rgb.png"])
def real_rgb(request):
    """Each real Ross Sea picture."""
    return real_picture(request.param)


def patchwork(height, width, seed=0):
    """Return a picture (height, width, 3) u8 with all classes, soft shadows and noise; valid everywhere."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice([15, 25, 90, 150, 215, 240, 250], (max(2, height // 40), max(2, width // 40)))
    surface = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST)
    shade = cv2.resize(rng.uniform(0.6, 1.05, (3, 3)).astype(np.float32), (width, height))
    tint = np.array([1.0, 0.99, 0.97], np.float32)
    noisy = (surface * shade)[..., None] * tint + rng.normal(0, 4, (height, width, 3))
    return np.clip(noisy, 1, 255).astype(np.uint8)


def planar(rgb):
    """Turn (height, width, 3) into the project's band-first (3, height, width)."""
    return np.ascontiguousarray(rgb.transpose(2, 0, 1))


@pytest.fixture(scope="session", autouse=True)
def scratch(tmp_path_factory):
    """Let processes that tests kill leave their temporary files where pytest clears up."""
    folder = str(tmp_path_factory.mktemp("scratch"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TMPDIR", "SPARK_LOCAL_DIRS"):
            patch.setenv(name, folder)
        yield


@pytest.fixture(scope="session", autouse=True)
def one_spark_session(scratch):
    """Let the jobs of all tests share a Spark session while its settings stay the same; yields its end."""
    with one_session() as close:
        yield close


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A model folder with a small random network; tests that change one make their own."""
    from map_runs import tiny_model

    return tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def unlimited_threads(monkeypatch):
    """Let trainings in this process not set TensorFlow's threads: the first tensor has settled them."""
    for place in ("training.ranks.device", "training.fit"):
        monkeypatch.setattr(f"{place}.limit_threads", lambda _: None)
