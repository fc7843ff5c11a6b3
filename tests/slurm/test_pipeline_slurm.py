"""The whole way as a user submits it: from scenes to a report on two nodes, and what may happen to it."""

import re

import pytest
import yaml
from conftest import ROOT, patchwork, planar
from pictures import read_labels, write_tif
from spark_jobs import FLAGS, environment, java, left_of

from labeling.files.locks.folder import folder_lock
from labeling.ice.label import label_scene
from labeling.ice.profile import load_profile

pytestmark = [pytest.mark.slurm, pytest.mark.slow]

PICTURES = {f"scene-{number}": patchwork(256, 256, seed=number) for number in range(4)}
LABEL = f"--chip-size 64 --profile polynya-clear {' '.join(FLAGS)}"
INFER = f"--network alone {' '.join(FLAGS)}"
SBATCH = "--cpus-per-task=1 --mem=4000"
TRAIN = "--ntasks-per-node=1 --gpus-per-node=0"


def pipeline(lab, folder, *arguments, **options):
    """Submit the way from `folder`; return the exit code, what was said, and job numbers by name."""
    options = {"label": LABEL, "infer": INFER, "sbatch": SBATCH, "sbatch-train": TRAIN} | options
    flags = [f"--{name}={value}" for name, value in options.items()]
    command = [ROOT / "jobs/slurm/pipeline.sh", "--run", "run", *flags, *arguments]
    ended = lab.login(*command, cwd=folder, env=environment(), check=False)
    numbers = dict(re.findall(r"^ *(\d+)  ([\w-]+)[ :]", ended.stdout, re.MULTILINE))
    return ended.returncode, ended.stdout + ended.stderr, {name: number for number, name in numbers.items()}


@pytest.fixture
def folder(tmp_path):
    for name, rgb in PICTURES.items():
        write_tif(tmp_path / f"scenes/{name}.tif", planar(rgb))
    settings = {"epochs": 1, "batch_size": 4, "depth": 2, "width": 4, "threads": 1, "absent_classes": "allow"}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def test_from_scenes_to_the_report(lab, folder):
    """One scene is damaged, and the network maps another scene, in a run folder of its own."""
    (folder / "scenes/bad.tif").write_text("no pixels")
    write_tif(folder / "new/new.tif", planar(patchwork(256, 256, seed=9)))
    code, said, jobs = pipeline(
        lab, folder, "--scenes", "scenes", "--maps", "maps", "--map-scenes", "new",
        train="--config train.yaml",
    )  # fmt: skip
    assert code == 0, said
    assert list(jobs) == ["label", "train", "label-maps", "infer", "evaluate"], said
    ended = {name: lab.wait(number, timeout=1800) for name, number in jobs.items()}
    logs = {name: (folder / f"{name}-{number}.log") for name, number in jobs.items()}
    told = "\n".join(
        f"== {name}\n{log.read_text() if log.exists() else 'none'}" for name, log in logs.items()
    )
    assert {job["JobState"] for job in ended.values()} == {"COMPLETED"}, told
    assert "some scenes failed, which is accepted" in logs["label"].read_text()
    assert "bad.tif" in (folder / "run/failures.jsonl").read_text()
    profile = load_profile("polynya-clear")
    for name, rgb in PICTURES.items():
        assert (read_labels(folder / "run", name) == label_scene(planar(rgb), None, profile)).all()
    assert (folder / "run/model/model.json").is_file()
    assert (folder / "maps/maps/new/classes.tif").is_file()
    assert (folder / "maps/report/index.html").is_file()
    assert str(folder / "maps/report/index.html") in said
    assert left_of(java(lab)) == []


def test_a_run_folder_in_use_ends_the_way_at_its_first_job(lab, folder):
    (folder / "run").mkdir()
    with folder_lock(folder / "run", "label"):
        code, said, jobs = pipeline(lab, folder, "--scenes", "scenes")
        assert code == 0, said
        ended = {name: lab.wait(number) for name, number in jobs.items()}
    assert ended["label"]["ExitCode"] == "2:0"
    assert "is in use by label" in (folder / f"label-{jobs['label']}.log").read_text()
    assert {ended[name]["JobState"] for name in ("train", "infer", "evaluate")} == {"CANCELLED"}


def test_what_slurm_refuses_leaves_no_job(lab, folder):
    code, said, jobs = pipeline(lab, folder, "--scenes", "scenes", **{"sbatch-infer": "--partition=nowhere"})
    assert code == 2
    assert "infer could not be submitted" in said
    assert "invalid partition" in said
    assert {lab.wait(number)["JobState"] for number in jobs.values()} == {"CANCELLED"}
