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


STAND_INS = {
    "squeue": 'case "$*" in *--job=*) echo "${STATE:-RUNNING}" ;; *) cat "$HERE/waiting" ;; esac',
    "sbatch": 'printf "%s\\n" "$@" >>"$HERE/submitted"; exit "$(cat "$HERE/refused" 2>/dev/null || echo 0)"',
    "python": 'echo "night $*" >>"$HERE/nights"; exit 3',
}


@pytest.fixture
def slurm_job(tmp_path):
    """Runs the script as Slurm would, with commands that note what they are given; `HERE` is the folder."""
    for name, body in STAND_INS.items():
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/bash\n{body}\n")
        command.chmod(0o755)
    (tmp_path / "waiting").touch()

    def run(**more):
        environment = {
            "HERE": str(tmp_path), "VENV": str(tmp_path), "POLYNYA": str(ROOT), "SLURM_JOB_NAME": "nightly",
            "SLURM_JOB_PARTITION": "batch", "SLURM_JOB_ID": "7",
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        }  # fmt: skip
        script = ["bash", ROOT / "jobs/slurm/nightly.sbatch", "--config", "a.yaml"]
        return subprocess.run(script, env=environment | more, capture_output=True, text=True, check=False)

    return run


def submitted(tmp_path):
    file = tmp_path / "submitted"
    return file.read_text().splitlines() if file.exists() else []


def test_a_night_under_slurm_submits_the_next_once(slurm_job, tmp_path):
    assert slurm_job().returncode == 3, "the night's own"
    [mark] = [line for line in submitted(tmp_path) if line.startswith("--comment=nightly-")]
    assert len((tmp_path / "nights").read_text().splitlines()) == 1
    other = "--comment=nightly-0123456789abcdef"
    for comment, ours in ((mark, True), (other, False), ("--comment=", True)):
        (tmp_path / "submitted").unlink(missing_ok=True)
        (tmp_path / "waiting").write_text(f"12 {comment.removeprefix('--comment=')}\n")
        told = slurm_job().stderr
        assert (submitted(tmp_path) == []) is ours, comment
        assert ("the next night is job 12" in told) is ours


def test_a_night_that_is_cancelled_submits_none(slurm_job, tmp_path):
    (tmp_path / "refused").write_text("1")
    assert slurm_job(STATE="COMPLETING").returncode == 3
    assert sum(line.startswith("--begin=") for line in submitted(tmp_path)) == 1, "not tried again"


def test_a_night_that_has_no_next_says_so_and_is_no_success(slurm_job, tmp_path):
    (tmp_path / "refused").write_text("1")
    job = slurm_job()
    assert job.returncode == 1
    assert "this one is the last" in job.stderr
    assert len((tmp_path / "nights").read_text().splitlines()) == 1
    assert sum(line.startswith("--begin=") for line in submitted(tmp_path)) == 2, "tried again"


@pytest.mark.parametrize(("state", "tries"), [("RUNNING", 2), ("COMPLETING", 1)])
def test_a_signal_reaches_a_night_without_a_next_and_its_exit_code_stays(slurm_job, tmp_path, state, tries):
    """A time limit leaves the job running, and scancel does not."""
    (tmp_path / "refused").write_text("1")
    night = tmp_path / "bin/python"
    night.write_text(
        f"#!/bin/bash\ntrap 'sleep 0.3; touch {tmp_path}/ended; exit 7' TERM\n"
        f"kill -TERM $PPID\nfor _ in {{1..100}}; do sleep 0.1; done\n"
    )
    job = slurm_job(STATE=state)
    assert (tmp_path / "ended").exists(), "it came to its own end"
    assert sum(line.startswith("--begin=") for line in submitted(tmp_path)) == tries
    assert job.returncode == (1 if tries == 2 else 7)


def test_a_day_without_that_hour_has_a_night_too(slurm_job, tmp_path):
    """Clocks in Berlin go from 2 to 3 on 29 March 2026, so 02:15 is no time of that day."""
    job = slurm_job(TZ="Europe/Berlin", AT="2026-03-29 02:15")
    assert "invalid date" in job.stderr, "the test shows nothing where date takes it"
    [begin] = [line for line in submitted(tmp_path) if line.startswith("--begin=")]
    assert re.fullmatch(r"--begin=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", begin)


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
