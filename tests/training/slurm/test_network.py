import subprocess
from ipaddress import IPv4Network

import pytest

from labeling.errors import ConfigError
from training.slurm.network import Interface, common_network, inside, interfaces

DOCKER = Interface("docker0", "172.17.0.1/16")


def node(*addresses):
    return [Interface(f"eth{number}", address) for number, address in enumerate(addresses)]


def test_interfaces_are_those_that_ip_shows():
    shown = subprocess.run(["ip", "-o", "-4", "address"], capture_output=True, text=True, check=False)
    if shown.returncode:
        pytest.skip("no ip here")
    lines = [line.split() for line in shown.stdout.splitlines()]
    first = {}
    for words in lines:
        first.setdefault(words[1], words[3])
    assert {each.name: each.address for each in interfaces()}.items() <= first.items()
    assert "lo" not in {each.name for each in interfaces()}


def test_the_first_network_that_all_nodes_are_in_is_taken_whatever_interfaces_are_called():
    nodes = {
        "a": [DOCKER, Interface("eth0", "10.1.0.5/16"), Interface("ib0", "10.9.0.5/24")],
        "b": [Interface("ens5", "10.1.7.6/16"), Interface("ib1", "10.9.0.6/24"), DOCKER],
    }
    assert common_network(nodes) == IPv4Network("10.1.0.0/16")
    assert inside(nodes["b"], common_network(nodes)).name == "ens5"


def test_a_network_may_be_named_also_a_wider_one():
    nodes = {"a": node("10.1.0.5/24", "10.9.0.5/24"), "b": node("10.1.1.6/24", "10.9.0.6/24")}
    assert common_network(nodes) == IPv4Network("10.9.0.0/24")
    assert common_network(nodes, "10.1.0.0/16") == IPv4Network("10.1.0.0/16")


def test_the_network_of_the_nodes_names_comes_first():
    nodes = {"a": node("10.1.0.5/24", "10.9.0.5/24"), "b": node("10.1.0.6/24", "10.9.0.6/24")}
    assert common_network(nodes, None, "10.9.0.5") == IPv4Network("10.9.0.0/24")
    assert common_network(nodes, None, "fe80::1") == IPv4Network("10.1.0.0/24")


def test_one_node_meets_in_its_own_network():
    assert common_network({"a": node("10.1.0.5/24")}) == IPv4Network("10.1.0.0/24")


@pytest.mark.parametrize("second", [[DOCKER], [], node("10.2.0.6/24")])
def test_without_a_network_of_all_the_message_shows_what_there_is(second):
    with pytest.raises(ConfigError, match=r"eth0 10\.1\.0\.5/24.*--nodes-network 10\.0\.0\.0/16"):
        common_network({"a": [DOCKER, *node("10.1.0.5/24")], "b": second})


def test_a_named_network_must_hold_all_and_be_one():
    nodes = {"a": node("10.1.0.5/24"), "b": node("10.1.0.6/24")}
    with pytest.raises(ConfigError, match=r"in 10\.7\.0\.0/16"):
        common_network(nodes, "10.7.0.0/16")
    with pytest.raises(ConfigError, match="eth0"):
        common_network(nodes, "eth0")
