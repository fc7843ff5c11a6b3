"""Do a night over an archive: label and map what is new, add to a series, report, train a successor.

    python -m jobs.nightly --config SITE.yaml
    python -m jobs.nightly --config SITE.yaml --train-when "20 scenes"
    python -m jobs.nightly --config SITE.yaml --go-back
    python -m jobs.nightly --config SITE.yaml --use RUN/model

`--go-back` lets the model map again that the current one took the place of, `--use` another one; both do
nothing else. Lines for crontab, systemd and Slurm are in jobs/schedule; docs/nightly.md says how to begin.
Exit code: 0 all done, 3 some scenes failed (see SITE/status.json), 2 usage or configuration, 1 other.
"""

from __future__ import annotations

import argparse
import sys

from jobs.command import SCENES_HELP, add_spark_options, configure_logs, main_of, overrides
from labeling.files.locks.folder import folder_lock
from labeling.settings import load_settings
from pipelines.engine.outcome import Outcome
from pipelines.nightly.config import NightlyConfig
from pipelines.nightly.models import go_back, use
from pipelines.nightly.night import run
from pipelines.nightly.site import open_site

TRAIN = (sys.executable, "-m", "jobs.train")
"""What trains a successor, in processes of its own."""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser; an option left out is the configuration's."""
    options = argparse.ArgumentParser(
        prog="jobs.nightly", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--scenes", nargs="+", metavar="SCENE", help=SCENES_HELP)
    options.add_argument("--out", metavar="SITE", help="site folder")
    options.add_argument("--model", metavar="FOLDER", help="model folder of the first night")
    options.add_argument("--train-when", metavar="WHEN", help='never, or for example "20 scenes" or "7 days"')
    models = options.add_mutually_exclusive_group()
    models.add_argument("--go-back", action="store_true", help="let the model before the current one map")
    models.add_argument("--use", metavar="FOLDER", help="let the model in a folder map")
    add_spark_options(options)
    return options


def main(arguments: list[str] | None = None) -> Outcome:
    """Run the job for these command-line arguments."""
    given = parser().parse_args(arguments)
    configure_logs(given)
    back, other = given.go_back, given.use
    del given.go_back, given.use
    config = load_settings(NightlyConfig, given.config, overrides(given))
    if not back and other is None:
        return run(config, TRAIN)
    site = open_site(config.out)
    with folder_lock(site.root, "nightly"):
        model = go_back(site) if back else use(site, other)
    print(f"nightly: model {model.number} maps from the next night; it is in {model.folder}")
    return Outcome(0, ())


if __name__ == "__main__":
    sys.exit(main_of(main, "nightly"))
