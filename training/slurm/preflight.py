"""Can these nodes train together? Pure: facts go in, a network or an error comes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from ipaddress import IPv4Network, ip_address

from labeling.errors import ConfigError
from training.slurm.allocation import Allocation, shown
from training.slurm.facts import Facts
from training.slurm.network import common_network


def check(
    given: Allocation,
    facts: Sequence[Facts],
    *,
    folder: str,
    nonce: str,
    network: str | None = None,
    names: bool = True,
) -> IPv4Network:
    """Return the network in which the ranks may meet; ConfigError names the first thing that is wrong.

    `facts` are those of the ranks that answered, in their order; `nonce` is what they should have read in the
    folder. `names` says that nodes must be known by their own names.
    """
    if silent := [node for node in given.ranks if node not in {each.node for each in facts}]:
        raise ConfigError(
            f"nothing came back from {shown(silent)}: the job's Python (VENV or RANKS in the batch script) "
            "and the project must be there under the same paths; what srun said is above"
        )
    _order(given, facts)
    if blind := list(dict.fromkeys(each.node for each in facts if each.nonce != nonce)):
        raise ConfigError(
            f"{folder} is not the same folder on {shown(blind)} as where the batch script runs: put it on a "
            "file system that all nodes share"
        )
    _same(facts, "Python", lambda each: each.python, "use one venv, or image, for all")
    _same(facts, "code", lambda each: each.code[:12], "start from one checkout on a shared file system")
    for name in sorted(set().union(*(each.packages for each in facts))):
        _same(facts, name, partial(_version, name), "install docker/constraints.txt on all")
    _gpus(given, facts)
    if names and len(given.ranks) > 1:
        _names(facts)
    return common_network({each.node: each.interfaces for each in facts}, network, facts[0].own)


def _order(given: Allocation, facts: Sequence[Facts]) -> None:
    """Raise ConfigError unless ranks were given out node by node."""
    places = [(node, local) for node, count in given.ranks.items() for local in range(count)]
    if [(each.node, each.local) for each in facts] != places:
        raise ConfigError(
            f"Slurm started {len(facts)} tasks and not {len(places)} node by node: leave --distribution and "
            "--ntasks out of the batch script, and ask for --nodes and --ntasks-per-node"
        )


def _same(facts: Sequence[Facts], what: str, of: Callable[[Facts], str], way_out: str) -> None:
    first = facts[0]
    for each in facts:
        if of(each) != of(first):
            raise ConfigError(
                f"{what} is {of(first)} on {first.node} and {of(each)} on {each.node}: {way_out}"
            )


def _version(name: str, each: Facts) -> str:
    return each.packages.get(name, "missing")


def _names(facts: Sequence[Facts]) -> None:
    """Raise ConfigError where a node's own name leads back to itself.

    Horovod 0.28 takes the interface that it is told of for its first connections only. Gradients go where the
    name leads: its process sets have a device of their own, which knows no interface (gloo_context.cc).
    """
    for each in facts:
        if not each.own or ip_address(each.own).is_loopback:
            raise ConfigError(
                f"the own name of {each.node} leads to {each.own or 'nowhere'}, and Horovod would send other "
                "nodes there: give it the address that they know in its /etc/hosts; in an image a file may "
                "be bound over that one"
            )


def _gpus(given: Allocation, facts: Sequence[Facts]) -> None:
    """Raise ConfigError where nodes have GPUs, but not one for each rank."""
    counts = {node: _count([each for each in facts if each.node == node]) for node in given.ranks}
    if not any(counts.values()):
        return
    for node, ranks in given.ranks.items():
        if counts[node] < ranks:
            raise ConfigError(
                f"{node} has {counts[node]} GPUs for {ranks} ranks: make --gpus-per-node and "
                "--ntasks-per-node the same number, or train on processors with "
                "`export CUDA_VISIBLE_DEVICES=` in the batch script"
            )


def _count(of_node: Sequence[Facts]) -> int:
    """Return how many GPUs the ranks of a node have together."""
    named = {gpu for each in of_node for gpu in each.gpus}
    return max(len(named), *(each.gpus_on_node for each in of_node)) if named else 0
