from dataclasses import replace

import pytest

from labeling.errors import ConfigError
from training.slurm.allocation import Allocation
from training.slurm.facts import Facts, code_digest, gpus, heard, lines, look
from training.slurm.network import Interface
from training.slurm.preflight import check

GIVEN = Allocation(job="7", ranks={"a": 2, "b": 2}, processors=None, restarts=0)


def facts():
    """Return what four good ranks tell."""
    return [
        Facts(
            node=node, rank=rank, local=rank % 2, python="3.11.2", code="c0de", packages={"numpy": "2.0.2"},
            interfaces=(Interface("eth0", f"10.0.0.{rank // 2 + 1}/24"),), nonce="n", gpus=(), gpus_on_node=0,
            own=f"10.0.0.{rank // 2 + 1}",
        )
        for rank, node in enumerate("aabb")
    ]  # fmt: skip


def judge(found):
    return check(GIVEN, found, folder="RUN/logs", nonce="n")


def test_good_nodes_meet_in_their_network():
    assert str(judge(facts())) == "10.0.0.0/24"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"nonce": ""}, "RUN/logs is not the same folder on b as where.*put it on a file system that all"),
        ({"python": "3.12.1"}, "Python is 3.11.2 on a and 3.12.1 on b: use one venv"),
        ({"code": "0ther"}, "code is c0de on a and 0ther on b: start from one checkout"),
        ({"packages": {"numpy": "2.0.1"}}, "numpy is 2.0.2 on a and 2.0.1 on b: install"),
        ({"packages": {}}, "numpy is 2.0.2 on a and missing on b"),
        ({"packages": {"numpy": "2.0.2", "more": "1"}}, "more is missing on a and 1 on b"),
        ({"interfaces": ()}, "no addresses of their own in one network.*b has none"),
        ({"own": "127.0.1.1"}, "the own name of b leads to 127.0.1.1, and Horovod would.*in its /etc/hosts"),
        ({"own": "::1"}, "the own name of b leads to ::1"),
        ({"own": ""}, "the own name of b leads to nowhere"),
        ({"gpus": ("0",)}, "a has 0 GPUs for 2 ranks: make --gpus-per-node and"),
    ],
)
def test_what_is_wrong_on_a_node_is_named_with_the_way_out(changed, said):
    found = facts()
    found[2:] = [replace(each, **changed) for each in found[2:]]
    with pytest.raises(ConfigError, match=said):
        judge(found)


def test_one_node_may_be_called_what_it_likes():
    alone = [replace(each, own="127.0.1.1") for each in facts()[:2]]
    check(GIVEN._replace(ranks={"a": 2}), alone, folder="RUN/logs", nonce="n")


def test_a_node_that_says_nothing_is_named():
    with pytest.raises(ConfigError, match="nothing came back from b: the job's Python"):
        judge(facts()[:2])


def test_ranks_that_lie_otherwise_than_asked_are_refused():
    with pytest.raises(ConfigError, match="3 tasks and not 4 node by node"):
        judge(facts()[:3])
    swapped = facts()
    swapped[1], swapped[2] = replace(swapped[2], rank=1), replace(swapped[1], rank=2)
    with pytest.raises(ConfigError, match="node by node"):
        judge(swapped)


@pytest.mark.parametrize("seen", [[("0", "1")] * 4, [("0",), ("1",)] * 2])
def test_a_gpu_a_rank_is_enough_shared_or_bound(seen):
    judge([replace(each, gpus=own) for each, own in zip(facts(), seen, strict=True)])


def test_bound_gpus_that_are_all_called_0_count_as_slurm_says():
    with pytest.raises(ConfigError, match="a has 1 GPUs for 2 ranks"):
        judge([replace(each, gpus=("0",), gpus_on_node=1) for each in facts()])
    judge([replace(each, gpus=("0",), gpus_on_node=2) for each in facts()])


def test_facts_are_those_of_the_task(tmp_path):
    (tmp_path / "nonce").write_text("word")
    variables = {"SLURMD_NODENAME": "a", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
    found = look(tmp_path / "nonce", variables | {"CUDA_VISIBLE_DEVICES": "2,3", "SLURM_GPUS_ON_NODE": "2"})
    assert (found.node, found.rank, found.local, found.nonce) == ("a", 3, 1, "word")
    assert (found.gpus, found.gpus_on_node) == (("2", "3"), 2)
    assert found.packages["numpy"]
    assert look(tmp_path / "none", variables).nonce == ""


def test_facts_of_many_ranks_are_put_together_from_short_lines_between_others():
    told = [replace(each, packages={f"package-{i}": "1.0" for i in range(99)}) for each in facts()]
    streams = [list(lines(each)) for each in told]
    mixed = [line for row in zip(*streams[::-1], strict=True) for line in row]
    assert max(map(len, mixed)) < 1000
    assert heard(["srun: something", *mixed, ""]) == told


def test_gpus_are_those_shown_or_the_devices(tmp_path):
    (tmp_path / "dev").mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl"):
        (tmp_path / "dev" / name).touch()
    assert gpus({}, tmp_path) == ("nvidia0", "nvidia1")
    assert gpus({"CUDA_VISIBLE_DEVICES": ""}, tmp_path) == ()
    assert gpus({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, tmp_path) == ()
    assert gpus({"CUDA_VISIBLE_DEVICES": "MIG-a,MIG-b"}, tmp_path) == ("MIG-a", "MIG-b")


def test_the_digest_tells_code_apart_and_not_where_it_lies(tmp_path):
    digests = []
    for number, (name, text) in enumerate([("a.py", "1"), ("a.py", "1"), ("a.py", "2"), ("b.py", "1")]):
        (tmp_path / str(number) / "jobs").mkdir(parents=True)
        (tmp_path / str(number) / "jobs" / name).write_text(text)
        digests.append(code_digest(tmp_path / str(number)))
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
