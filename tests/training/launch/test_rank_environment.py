"""What ranks inherit, and what they are told."""

import pytest

from training.launch.elastic import own_gpu
from training.launch.environment import MORE, inherited, places, rank_environment
from training.launch.rendezvous import Meeting

MEETING = Meeting("10.0.0.1", 4711, "secret", "eth0")


@pytest.mark.parametrize(
    "name",
    ["PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "TF_CPP_MIN_LOG_LEVEL", "OMP_NUM_THREADS",
     "NCCL_DEBUG", "HOROVOD_CYCLE_TIME", "CUDA_VISIBLE_DEVICES", "POLYNYA_HOSTS", "AWS_SECRET_ACCESS_KEY",
     "AWS_ENDPOINT_URL", "SSL_CERT_FILE", "https_proxy", "SLURM_JOB_ID"],
)  # fmt: skip
def test_what_a_training_needs_is_kept(name):
    assert inherited({name: "text"}) == {name: "text"}


@pytest.mark.parametrize(
    "name",
    ["GITHUB_TOKEN", "SSH_AUTH_SOCK", "PATHS", "MY_PATH", "LD_PRELOAD", "DATABASE_URL", "PGPASSWORD", "K8S"],
)
def test_all_else_is_left_out_unless_it_is_named(name):
    assert inherited({name: "text"}) == {}
    assert inherited({name: "text", MORE: f"OTHER {name}"})[name] == "text"


def test_ranks_of_several_hosts_know_their_places():
    found = [rank_environment(place, MEETING, {"PATH": "/bin"}) for place in places({"a": 2, "b": 1})]
    keys = ("RANK", "SIZE", "LOCAL_RANK", "LOCAL_SIZE", "CROSS_RANK", "CROSS_SIZE", "HOSTNAME")
    assert [" ".join(each[f"HOROVOD_{key}"] for key in keys) for each in found] == [
        "0 3 0 2 0 2 a", "1 3 1 2 0 1 a", "2 3 0 1 1 2 b",
    ]  # fmt: skip
    assert all(each["PATH"] == "/bin" and each["HOROVOD_GLOO_IFACE"] == "eth0" for each in found)


def test_what_the_launcher_inherited_of_another_job_is_overruled():
    (place,) = places({"localhost": 1})
    found = rank_environment(place, MEETING, {"HOROVOD_RANK": "7", "HOROVOD_GLOO_RENDEZVOUS_ADDR": "evil"})
    assert (found["HOROVOD_RANK"], found["HOROVOD_GLOO_RENDEZVOUS_ADDR"]) == ("0", "10.0.0.1:4711/secret")


def test_elastic_ranks_share_out_the_gpus_they_were_given():
    shown = [own_gpu(number, {"CUDA_VISIBLE_DEVICES": "4,6"}) for number in range(3)]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in shown] == ["4", "6", "4"]


def test_elastic_ranks_share_out_the_machines_gpus_if_they_are_not_hidden(tmp_path):
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidia10", "nvidiactl"):
        (tmp_path / "dev" / name).touch()
    shown = [own_gpu(number, {}, tmp_path)["CUDA_VISIBLE_DEVICES"] for number in range(3)]
    assert shown == ["0", "1", "2"]
    assert own_gpu(0, {"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == {}
    assert own_gpu(0, {}, tmp_path / "dev") == {}
