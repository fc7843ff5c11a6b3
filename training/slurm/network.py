"""The network that all nodes of a job are in, whatever its interface is called on each."""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping, Sequence
from fcntl import ioctl
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    NetmaskValueError,
    ip_address,
)
from typing import Final, NamedTuple

from labeling.errors import ConfigError

# linux/sockios.h, linux/if.h
_GET_FLAGS: Final = 0x8913
_GET_ADDRESS: Final = 0x8915
_GET_MASK: Final = 0x891B
_UP: Final = 0x1
_LOOPBACK: Final = 0x8
_NAME_BYTES: Final = 16


class Interface(NamedTuple):
    """An interface of a node that is up, and its first IPv4 address."""

    name: str
    address: str
    """Address and length of the network's: 10.0.0.5/24."""

    @property
    def ip(self) -> IPv4Address:
        """Its address."""
        return IPv4Interface(self.address).ip


def interfaces() -> list[Interface]:
    """Return the interfaces of this machine, but for loopback, in the kernel's order."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[: _NAME_BYTES - 1])
            try:
                answers = [ioctl(asked, code, request) for code in (_GET_FLAGS, _GET_ADDRESS, _GET_MASK)]
            except OSError:
                continue  # it has no IPv4 address
            (flags,) = struct.unpack_from("H", answers[0], _NAME_BYTES)
            address, mask = (socket.inet_ntoa(answer[20:24]) for answer in answers[1:])
            if flags & _UP and not flags & _LOOPBACK:
                found.append(Interface(name, IPv4Interface(f"{address}/{mask}").with_prefixlen))
    return found


def network(text: str) -> IPv4Network:
    """Return the network that a user named; ConfigError for what is none."""
    try:
        return IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError):
        raise ConfigError(f"--nodes-network is {text!r}; it takes one like 10.0.0.0/16") from None


def common_network(
    nodes: Mapping[str, Sequence[Interface]], named: str | None = None, preferred: str = ""
) -> IPv4Network:
    """Return the first network in which every node has an address of its own, or check the one named.

    One that holds the address `preferred` comes before others. Networks that every node has for itself, as
    containers' (docker0, with the same address everywhere), do not count. ConfigError where there is none.
    """
    first = next(iter(nodes.values()))
    tried = [network(named)] if named else [IPv4Interface(each.address).network for each in first]
    if preferred:  # the sort is stable
        tried.sort(key=lambda each: ip_address(preferred) not in each)
    for candidate in dict.fromkeys(tried):
        own = [inside(found, candidate) for found in nodes.values()]
        addresses = [each.ip for each in own if each]
        if len(set(addresses)) == len(nodes):
            return candidate
    told = "; ".join(
        f"{node} has {', '.join(f'{each.name} {each.address}' for each in found) or 'none'}"
        for node, found in list(nodes.items())[:3]
    )
    place = f"in {named}" if named else "in one network"
    raise ConfigError(
        f"the nodes have no addresses of their own {place} ({told}): name a network that holds an address "
        "of each with --nodes-network 10.0.0.0/16; where networks are routed it may span several"
    )


def inside(found: Sequence[Interface], where: IPv4Network) -> Interface | None:
    """Return the first interface with an address in a network."""
    return next((each for each in found if each.ip in where), None)
