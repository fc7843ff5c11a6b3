"""The check of GPUs, on processors: the same trainings, weights and page, by Gloo."""

import os
import zipfile

import h5py
import numpy as np
import pytest

from benchmarks.training import gpu_check
from benchmarks.training.gpu_check import Found, distance, judged, main, nccl_links, nccl_ranks, options

CONNECTED = """
[0] node1:7:9 [0] NCCL INFO NCCL version 2.21.5+cuda12.5
[0] node1:7:9 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM/read
[1] node1:8:9 [1] NCCL INFO Channel 00/0 : 1[1] -> 0[0] via P2P/CUMEM/read
[1] node1:8:9 [1] NCCL INFO Channel 01/0 : 1[1] -> 2[2] [send] via NET/IB/0
[0] node1:7:9 [0] NCCL INFO ncclCommInitRank comm 0x5 rank 0 nranks 8 cudaDev 0 nvmlDev 0 busId 7 commId 0x1 - Init COMPLETE
"""  # noqa: E501
"""What NCCL says with NCCL_DEBUG=INFO, put together from the texts in libnccl.so.2 of 2.21.5."""


def test_ranks_and_links_by_nccls_own_words():
    assert nccl_ranks(CONNECTED) == 8
    assert nccl_links(CONNECTED) == "P2P, NET/IB"
    assert nccl_ranks("[0] epoch 1/3") == 0
    assert nccl_links("") == ""


def test_weights_differ_by_a_share_of_their_tensors_largest():
    one = {"a": np.array([1.0, -4.0]), "b": np.zeros(2)}
    assert distance(one, one) == 0
    assert distance(one, one | {"a": np.array([1.0, -3.0])}) == 0.25
    with pytest.raises(ValueError, match="different networks"):
        distance(one, {"a": one["a"]})


def verdicts(*found, flags=()):
    return [verdict.well for verdict in judged(options().parse_args(flags), found)]


def test_all_must_be_well():
    one = Found(1, 100.0, 1e-7, "")
    assert verdicts(one, Found(8, 700.0, 1e-6, CONNECTED)) == [True, True, True]
    assert verdicts(one, Found(8, 700.0, 1e-3, CONNECTED)) == [False, True, True]
    assert verdicts(one, Found(8, 700.0, 1e-6, "")) == [True, False, True]  # by Gloo
    assert verdicts(one, Found(4, 390.0, 1e-6, CONNECTED)) == [True, False, True]
    assert verdicts(one, Found(8, 300.0, 1e-6, CONNECTED)) == [True, True, False]
    assert verdicts(one, Found(2, 90.0, 1e-6, ""), flags=["--devices", "cpu"]) == [True]


@pytest.mark.slow
def test_without_a_gpu_it_says_so(capfd, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main([]) == 2
    told = capfd.readouterr()
    assert told.err == f"gpu_check: {os.uname().nodename} has no GPU; --devices cpu tries the check without\n"
    assert told.out == ""


@pytest.mark.parallel
def test_two_ranks_on_processors_have_the_weights_of_one(capfd, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(gpu_check.ROOT))
    small = ["--batch-size", "2", "--side", "32", "--updates", "2", "--epochs", "2", "--tolerance", "1e-6"]
    assert main(["--devices", "cpu", "--ranks", "1", "2", *small]) == 0
    told = capfd.readouterr().out
    assert "Horovod with Gloo" in told
    assert [line.split("|")[1].strip() for line in told.splitlines() if line.startswith("|")][2:] == [
        "1",
        "2",
    ]
    assert "well: all have the weights of one within" in told


@pytest.mark.slow
def test_ranks_that_share_no_batch_are_refused(capfd):
    assert main(["--devices", "cpu", "--ranks", "2", "3"]) == 2
    assert "which divide the most of them" in capfd.readouterr().err


def test_weights_are_read_by_their_places(tmp_path):
    with h5py.File(tmp_path / "model.weights.h5", "w") as file:
        file["layers/conv/vars/0"] = np.arange(3.0)
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    found = gpu_check.weights(tmp_path)
    assert list(found) == ["layers/conv/vars/0"]
    np.testing.assert_array_equal(found["layers/conv/vars/0"], [0, 1, 2])
