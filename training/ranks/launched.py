"""Who started this rank, and whether what it will hear can be trusted."""

from __future__ import annotations

import os
from collections.abc import Mapping

from labeling.errors import ConfigError


def launched_here(variables: Mapping[str, str] = os.environ) -> bool:
    """Tell whether our launcher started this process, and not horovodrun: only it gives a path to ask at."""
    return "/" in variables.get("HOROVOD_GLOO_RENDEZVOUS_ADDR", "")


def refuse_strangers(*, trust_network: bool, variables: Mapping[str, str] = os.environ) -> None:
    """Raise ConfigError for an elastic training of horovodrun's, unless its network may be trusted."""
    elastic = variables.get("HOROVOD_ELASTIC") == "1"
    if not elastic or trust_network or launched_here(variables):
        return
    raise ConfigError(
        "horovodrun's elastic mode runs code that anybody who reaches this machine's ports sends it "
        "(CVE-2024-10190). On one machine start `python -m jobs.train --ranks N --min-ranks M …` without "
        "horovodrun; on several, where nobody else is logged in or on their network, add --trust-network."
    )
