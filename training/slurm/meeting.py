"""What the batch step tells its ranks, and what a rank tells it: where all meet, and how one has ended."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from ipaddress import IPv4Network
from typing import Final, NamedTuple, Self

from training.launch.rendezvous import Meeting

VARIABLE: Final = "POLYNYA_MEETING"
"""Environment variable that holds it: it has the secret in it, and Linux shows it to its user alone."""

ENDED: Final = "ended"
"""Scope of the rendezvous in which each rank leaves its exit code under its number."""

REACH_S: Final = 60.0
"""Seconds in which the rendezvous must answer."""


class Told(NamedTuple):
    """All that a rank must know."""

    address: str
    port: int
    secret: str
    network: str
    ranks: dict[str, int]
    """Ranks on each node, in their order."""

    @classmethod
    def here(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """Return what this process was told."""
        return cls(**json.loads(variables[VARIABLE]))

    def environment(self) -> dict[str, str]:
        """Return the variable that tells it."""
        return {VARIABLE: json.dumps(self._asdict())}

    def meeting(self, interface: str) -> Meeting:
        """Return the meeting for a rank whose interface has this name."""
        return Meeting(self.address, self.port, self.secret, interface)

    def where(self) -> IPv4Network:
        """Return the network in which all meet."""
        return IPv4Network(self.network)

    def ask(self, method: str, scope: str, key: str, value: bytes | None = None) -> HTTPStatus:
        """Ask the rendezvous; OSError where it cannot be reached."""
        connection = HTTPConnection(self.address, self.port, timeout=REACH_S)
        try:
            connection.request(method, f"/{self.secret}:{self.port}/{scope}/{key}", body=value)
            return HTTPStatus(connection.getresponse().status)
        except HTTPException as error:
            raise OSError(str(error)) from None
        finally:
            connection.close()
