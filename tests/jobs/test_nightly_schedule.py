"""The lines of jobs/schedule are taken by those that they are written for, and start a night."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from functools import partial

import pytest
import yaml
from conftest import ROOT
from map_runs import no_network

SCHEDULE = ROOT / "jobs/schedule"
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


def at_home(text, config, log):
    """Return a schedule's text with the places of this checkout."""
    text = re.sub(r"(/opt/polynya/)?\.venv/bin/python", sys.executable, text)
    text = text.replace("/opt/polynya", str(ROOT)).replace("/etc/polynya/site.yaml", str(config))
    return text.replace("/var/log/polynya/nightly.log", str(log))


def test_systemd_finds_nothing_in_the_units(tmp_path):
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not installed (apt-get install systemd)")
    files = []
    for name in ("polynya-nightly.service", "polynya-nightly.timer"):
        files.append(tmp_path / name)
        files[-1].write_text(at_home((SCHEDULE / name).read_text(), "/etc/polynya/site.yaml", ""))
    verify = partial(
        subprocess.run, [analyze, "verify", "--man=no", *files], capture_output=True, text=True, check=False
    )
    found = verify()
    assert found.returncode == 0, found.stderr
    assert "polynya" not in found.stderr
    broken = files[0].read_text().replace("ExecStart=", "ExecStrt=")
    files[0].write_text(broken)
    assert "ExecStrt" in verify().stderr, "the test would not see a mistake"


@pytest.mark.slow
def test_cron_starts_a_night(tmp_path):
    cron = shutil.which("cron", path=PATH)
    if cron is None:
        pytest.skip("cron is not installed (apt-get install cron)")
    if os.geteuid() != 0:
        pytest.skip("a cron of one's own takes root")
    site, config, log = tmp_path / "site", tmp_path / "site.yaml", tmp_path / "nightly.log"
    (tmp_path / "incoming").mkdir()
    model = str(no_network(tmp_path / "model"))
    settings = {"scenes": [str(tmp_path / "incoming")], "out": str(site), "model": model}
    config.write_text(yaml.safe_dump(settings))
    crontabs = tmp_path / "spool/cron/crontabs"
    crontabs.mkdir(parents=True)
    text = at_home((SCHEDULE / "crontab").read_text(), config, log)
    assert "\n15 2 * * * " in text
    (crontabs / "root").write_text(text.replace("\n15 2 * * * ", "\n* * * * * "))
    (crontabs / "root").chmod(0o600)
    (tmp_path / "none").mkdir()
    # Nothing of this machine's own crontabs is to run.
    script = f"""
        mount --bind {tmp_path}/spool /var/spool && mount -t tmpfs none /run
        for own in /etc/cron.d /etc/crontab; do
            [ -d $own ] && mount --bind {tmp_path}/none $own; [ -f $own ] && mount --bind /dev/null $own
        done
        exec {cron} -f -L 15
    """
    spaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with (tmp_path / "cron.log").open("w") as said:
        holder = subprocess.Popen([*spaces, "sh", "-c", script], stdout=said, stderr=said)
    try:
        limit = time.monotonic() + 300
        while not (site / "nights/0001.json").exists():
            told = (tmp_path / "cron.log").read_text() + (log.read_text() if log.exists() else "")
            assert holder.poll() is None, told
            assert time.monotonic() < limit, told
            time.sleep(0.5)
    finally:
        holder.kill()
        holder.wait()
    night = json.loads((site / "nights/0001.json").read_text())
    assert night["exit_code"] == 2, "the archive is empty"
    assert "no scenes in" in log.read_text()
