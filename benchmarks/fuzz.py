"""Damaged examples of every kind of foreign file, opened by the functions that jobs open them with.

Right is that a file opens, or is refused with an error of labeling/errors.py. Another exception, the end of
the process, more than 20 seconds of a processor (two minutes by the clock) and a file outside of the
temporary folder are findings: each is printed, its input kept, and the exit code is 1. The same seed gives
the same inputs.

    python -m benchmarks.fuzz --seconds 180
    python -m benchmarks.fuzz --seconds 60 --seed 7 --keep findings/
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Final

from benchmarks.fuzzing.examples import Example, write_examples
from benchmarks.fuzzing.server import served
from benchmarks.fuzzing.watched import Outcome, Watched

PATIENCE: Final = 20.0
"""Seconds that one input may take."""


class Tally:
    """What became of the inputs of one kind."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.seconds = 0.0

    @property
    def tried(self) -> int:
        """How many."""
        return self.outcomes.total()

    @property
    def turn(self) -> tuple[bool, float]:
        """What is least for the kind that is next: one not yet tried, then the one with the least time."""
        return self.tried > 0, self.seconds

    def row(self, kind: str) -> str:
        """Return the kind's line of the table."""
        counts = (self.tried, *(self.outcomes[each] for each in ("opened", "refused", "finding")))
        rate = self.tried / self.seconds if self.seconds else 0.0
        return f"{kind:18}" + "".join(f"{count:>10}" for count in counts) + f"{rate:>10.0f}"


HEAD: Final = f"{'kind':18}{'tried':>10}{'opened':>10}{'refused':>10}{'findings':>10}{'a second':>10}"


def damaged(example: Example, valid: bytes, seed: int, number: int) -> bytes:
    """Return the input of a kind with that number, damaged once to four times."""
    rng = Random(f"{seed} {example.kind} {number}")
    content = rng.choice(example.damages)(valid, rng)
    for _ in range(rng.choice([0, 0, 0, 0, 1, 3])):
        if content:
            content = rng.choice(example.damages[:4])(content, rng)  # the others need a whole document
    return content


def fuzz(
    examples: Sequence[Example],
    inside: Path,
    *,
    seconds: float,
    seed: int,
    keep: Path,
    patience: float = PATIENCE,
) -> dict[str, Tally]:
    """Try inputs for `seconds`, as long of each kind, at least one; print findings and keep them.

    The examples lie below `inside`, where openers may write. RuntimeError for an example that does not open.
    """
    tallies = {example.kind: Tally() for example in examples}
    valid = {example.kind: example.file.read_bytes() for example in examples}
    with Watched({example.kind: example.open for example in examples}, inside, patience) as process:
        for example in examples:
            if (outcome := process.open(example.kind)).kind != "opened":
                raise RuntimeError(f"the valid example of a {example.kind} is no example: {outcome.why}")
        end = monotonic() + seconds
        while not all(each.tried for each in tallies.values()) or monotonic() < end:
            example = min(
                examples, key=lambda each: (tallies[each.kind].tried > 0, tallies[each.kind].seconds)
            )
            tally = tallies[example.kind]
            content = damaged(example, valid[example.kind], seed, tally.tried)
            begun = monotonic()
            example.file.write_bytes(content)
            outcome = process.open(example.kind)
            example.file.write_bytes(valid[example.kind])
            if outcome.kind == "finding":
                _report(example, content, outcome, keep, f"seed {seed}, number {tally.tried}")
            tally.outcomes[outcome.kind] += 1
            tally.seconds += monotonic() - begun
    return tallies


def _report(example: Example, content: bytes, outcome: Outcome, keep: Path, which: str) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    file = keep / f"{example.kind} {which}{example.file.suffix}".replace(", ", "-").replace(" ", "-")
    file.write_bytes(content)
    print(f"{example.kind}, {which}: {file}\n{outcome.why.encode(errors='replace').decode()}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Try inputs for a while, print the table, and return the exit code."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--keep", type=Path, default=Path("fuzz-findings"), metavar="DIR", help="for inputs")
    given = options.parse_args(arguments)
    with TemporaryDirectory() as folder:
        inside = Path(folder).resolve() / "inside"
        inside.mkdir()
        keep = given.keep.resolve()
        with served(inside) as server:
            examples = write_examples(inside, server)
            tallies = fuzz(examples, inside, seconds=given.seconds, seed=given.seed, keep=keep)
    print(HEAD, *(tally.row(kind) for kind, tally in tallies.items()), sep="\n")
    return 1 if any(tally.outcomes["finding"] for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
