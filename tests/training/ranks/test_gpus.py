"""Which GPU a rank takes, on machines that are folders with files for GPUs."""

import inspect
import os
import tempfile
from pathlib import Path

import pytest
from stranger import as_stranger

from training.ranks import gpus
from training.ranks.gpus import Held, identity, installed, own_index, permitted, sharing, shown, unseen


def machine(root, count, *, boot="boot-1", driver=None):
    """Make a folder look like a machine with so many GPUs in /dev, and in /proc with those of the driver."""
    for folder in ("dev", "proc/driver/nvidia/gpus", "proc/sys/kernel/random"):
        (root / folder).mkdir(parents=True)
    for number in range(count):
        (root / f"dev/nvidia{number}").touch()
    for name in ("nvidiactl", "nvidia-uvm", "nvidia-modeset", "null"):
        (root / "dev" / name).touch()
    for number in range(count if driver is None else driver):
        (root / f"proc/driver/nvidia/gpus/0000:{number:02x}:00.0").mkdir()
    (root / "proc/sys/kernel/random/boot_id").write_text(f"{boot}\n")
    return root


@pytest.fixture
def dgx(tmp_path):
    return machine(tmp_path, 11)  # more than ten: numbers are no text


def taken(root, environments, visible):
    """Return the GPU of each rank of one machine, told its environment and how many GPUs it sees."""
    ranks = enumerate(zip(environments, visible, strict=True))
    return [
        identity(own_index(count, rank), variables, root).split()[0]
        for rank, (variables, count) in ranks
    ]  # fmt: skip


def test_ranks_that_see_all_gpus_take_one_each(dgx):
    assert taken(dgx, [{}] * 8, [11] * 8) == [f"nvidia{rank}" for rank in range(8)]


def test_ranks_that_see_the_jobs_gpus_take_one_each(dgx):
    of_job = {"CUDA_VISIBLE_DEVICES": "10,3,5"}
    assert taken(dgx, [of_job] * 3, [3] * 3) == ["nvidia10", "nvidia3", "nvidia5"]


def test_ranks_that_were_given_one_each_take_it(dgx):
    """As `srun --gpus-per-task=1` does without control groups: rank 3 has one GPU, which is its 0."""
    given = [{"CUDA_VISIBLE_DEVICES": str(gpu)} for gpu in (4, 5, 6, 7)]
    assert taken(dgx, given, [1] * 4) == ["nvidia4", "nvidia5", "nvidia6", "nvidia7"]


def test_ranks_that_were_given_two_each_take_one_of_theirs(dgx):
    given = [{"CUDA_VISIBLE_DEVICES": pair} for pair in ("0,1", "2,3", "4,5")]
    assert taken(dgx, given, [2] * 3) == ["nvidia0", "nvidia3", "nvidia4"]


def test_a_gpu_is_told_from_those_of_other_control_groups_containers_and_machines(tmp_path):
    """Each sees its own GPU as number 0, and of the files only that one."""
    tasks = [machine(tmp_path / name, 0) for name in ("task-0", "task-1")]
    for number, root in enumerate(tasks):
        (root / f"dev/nvidia{number + 6}").touch()
    elsewhere = machine(tmp_path / "elsewhere", 7, boot="boot-2")
    found = [identity(0, {"CUDA_VISIBLE_DEVICES": "0"}, root) for root in tasks]
    assert found == ["nvidia6 boot-1", "nvidia7 boot-1"]
    assert identity(6, {}, elsewhere) == "nvidia6 boot-2"


@pytest.mark.parametrize("name", ["GPU-8932f937-d72c", "MIG-GPU-8932f937-d72c/1/0"])
def test_a_gpu_may_have_a_name(dgx, name):
    assert identity(1, {"CUDA_VISIBLE_DEVICES": f"7, {name}"}, dgx) == f"{name} boot-1"


def test_an_unreadable_machine_has_its_host_name(tmp_path):
    assert identity(3, {}, tmp_path) == f"3 {os.uname().nodename}"


def test_the_files_of_gpus_are_told_from_the_drivers_others(dgx):
    assert installed(dgx) == permitted(dgx) == [f"nvidia{number}" for number in range(11)]


def test_gpus_that_a_container_hides_are_known_by_the_driver(tmp_path):
    root = machine(tmp_path, 0, driver=2)
    assert installed(root) == ["0000:00:00.0", "0000:01:00.0"]
    assert permitted(root) == []
    assert "none was given to this job or container" in unseen({}, cuda=True, root=root)


def test_gpus_of_others_may_not_be_used():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are for this user alone
        root = machine(Path(folder), 3)
        Path(folder).chmod(0o755)
        for number in range(3):
            (root / f"dev/nvidia{number}").chmod(0o666 if number == 1 else 0o600)
        ask = "\nprint(permitted(Path(sys.argv[1])), unseen({}, cuda=True, root=Path(sys.argv[1])))\n"
        told = as_stranger(f"{inspect.getsource(gpus)}\nimport sys{ask}", root)
        assert told.startswith("['nvidia1'] TensorFlow sees no GPU of ")
        (root / "dev/nvidia1").chmod(0o600)
        assert as_stranger(f"{inspect.getsource(gpus)}\nimport sys{ask}", root).startswith("[] ")


@pytest.mark.skipif(os.getuid() != 0, reason="only root makes device nodes")
def test_a_gpu_whose_driver_is_gone_is_not_taken_for_one_of_others(tmp_path):
    root = machine(tmp_path, 0, driver=0)
    os.mknod(root / "dev/nvidia0", 0o20666, os.makedev(195, 0))  # NVIDIA's number; no driver answers
    assert permitted(root) == ["nvidia0"]
    assert "needs a driver of 525.60.13 or later" in unseen({}, cuda=True, root=root)


@pytest.mark.parametrize(
    ("cuda", "told"),
    [(False, "`make setup GPU=1` installs the other"), (True, "`nvidia-smi` tells which is there")],
)
def test_gpus_that_tensorflow_does_not_see_are_told_with_the_way_out(tmp_path, cuda, told):
    problem = unseen({}, cuda=cuda, root=machine(tmp_path, 2))
    assert problem.startswith(f"TensorFlow sees no GPU of {os.uname().nodename}, which has nvidia0, ")
    assert told in problem
    assert problem.endswith("--gpus none trains on the processor")


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_gpus_that_are_hidden_on_purpose_are_not_missed(tmp_path, hidden):
    root, variables = machine(tmp_path, 2), {"CUDA_VISIBLE_DEVICES": hidden}
    assert shown(variables) == []
    assert unseen(variables, cuda=False, root=root) is None
    assert unseen({"CUDA_VISIBLE_DEVICES": "0"}, cuda=False, root=root) is not None


def test_a_machine_without_gpus_misses_none(tmp_path):
    assert unseen({}, cuda=True, root=machine(tmp_path, 0)) is None
    assert unseen({"CUDA_VISIBLE_DEVICES": "0"}, cuda=True, root=tmp_path / "empty") is None


def test_cuda_stops_at_what_is_no_gpu():
    assert shown({"CUDA_VISIBLE_DEVICES": "2,-1,3"}) == ["2"]
    assert shown({}) is None


def held(*names, host="node1", nccl=True):
    return [Held(host, name and f"{name} boot-1", nccl and name is not None) for name in names]


def test_ranks_with_a_gpu_each_and_ranks_without_any_go_together():
    assert sharing(held(*(f"nvidia{number}" for number in range(8)))) is None
    assert sharing(held(None, None)) is None
    assert sharing([]) is None
    elsewhere = [Held("node2", "nvidia0 boot-2", nccl=True)]
    assert sharing(held("nvidia0") + elsewhere) is None


def test_two_ranks_must_not_share_a_gpu():
    told = sharing(held("nvidia0", "nvidia1", "nvidia1"))
    assert told.startswith("ranks 1 and 2 would share GPU nvidia1 of node1: start no more ranks than")
    assert told.endswith("--gpus none trains on the processor")


def test_more_ranks_than_gpus_share_one(dgx):
    of_job = {"CUDA_VISIBLE_DEVICES": "3,4"}
    found = [Held("node1", identity(own_index(2, rank), of_job, dgx)) for rank in range(3)]
    assert sharing(found).startswith("ranks 0 and 2 would share GPU nvidia3 of node1")


def test_nccl_wants_gpus_on_all_ranks_and_gloo_does_not():
    mixed = [*held("nvidia0"), *held(None, host="node2")]
    assert sharing(mixed).startswith("rank 0 on node1 has a GPU and rank 1 on node2 has none, and NCCL")
    assert sharing([*held("nvidia0", nccl=False), *held(None, host="node2")]) is None
