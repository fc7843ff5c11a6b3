"""Run a program as several ranks of this machine, for Horovod.

    python -m jobs.launch --ranks 2 python my_training.py
    python -m jobs.launch --ranks 4 --min-ranks 1 python my_training.py

What `python -m jobs.train --ranks` does for a training, for any program. Ranks meet on loopback, at a server
that only they can use, and inherit a short list of variables (training/launch/environment.py; POLYNYA_PASS
names further ones). With --min-ranks lost ranks are replaced; the program must be elastic then. The exit
code is that of the first rank that fails, 0 when all end well, 2 for usage.
"""

from __future__ import annotations

import sys
from argparse import REMAINDER, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence

from labeling.errors import ConfigError
from training.launch.elastic import COOLDOWN, Cooldown, launch_elastic
from training.launch.run import launch


def rank_options() -> ArgumentParser:
    """Return the options that say how ranks are started, for other parsers to take in."""
    options = ArgumentParser(add_help=False)
    options.add_argument(
        "--ranks", type=int, metavar="N", help="processes of this machine that train together"
    )
    options.add_argument(
        "--min-ranks",
        type=int,
        metavar="N",
        help="go on with so many where others are lost, and replace those",
    )
    options.add_argument(
        "--cooldown", type=float, nargs=2, metavar="S", default=COOLDOWN,
        help="least and most seconds until a lost rank is replaced (default: 5 300)",
    )  # fmt: skip
    return options


def start(command: Sequence[str], ranks: int, least: int | None, cooldown: Sequence[float] = COOLDOWN) -> int:
    """Run a command as ranks and return the exit code; ConfigError for numbers that cannot be."""
    if ranks < 1 or (least is not None and not 1 <= least <= ranks):
        raise ConfigError("--ranks is at least 1, and --min-ranks lies between 1 and --ranks")
    if not 1 <= cooldown[0] <= cooldown[1] <= 3600:
        raise ConfigError("--cooldown takes the least and the most seconds, from 1 to 3600")
    if least is None:
        return launch(command, ranks)
    return launch_elastic(command, ranks, least=least, cooldown=Cooldown(*cooldown))


def main(arguments: list[str] | None = None) -> int:
    """Run the program that these command-line arguments name and return the exit code."""
    options = ArgumentParser(
        "jobs.launch",
        description=__doc__,
        parents=[rank_options()],
        formatter_class=RawDescriptionHelpFormatter,
    )
    options.add_argument("command", nargs=REMAINDER, metavar="COMMAND")
    given = options.parse_args(arguments)
    if not given.command or given.ranks is None:
        options.error("give --ranks N and a command, as in: --ranks 2 python my_training.py")
    try:
        return start(given.command, given.ranks, given.min_ranks, given.cooldown)
    except ConfigError as error:
        print(f"launch: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
