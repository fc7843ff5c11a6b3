"""A Slurm cluster on this machine: real daemons, each host in namespaces of its own.

A host has its own network, name, processes and /etc/hosts, and shares the machine's files. All hosts hang on
a switch inside the login host, so nothing of a lab shows outside and two labs do not meet. The kernel ends a
host's processes with the one that holds it, and these end with the tests.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "ip", "nsenter", "unshare")
INSTALL = "apt-get install slurmctld slurmd slurm-client munge iproute2"

CPUS, MEMORY_MB, GPUS = 128, 256_000, 8
"""What each node says it has, as large as a DGX; processors are not bound, GPUs are devices of nothing."""

NETWORK = "10.77.0"
PATIENCE_S = 120
"""Seconds after which a daemon or a client counts as hanging."""

ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE"})

CONF = """\
ClusterName=lab
SlurmctldHost=login({network}.1)
SlurmctldPort=6817
SlurmdPort=6818
AuthType=auth/munge
# Five seconds: a requeued job begins when its credentials have run out, by default two minutes later.
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/state/slurmctld.pid
SlurmdPidFile={folder}/spool/%n/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd-%n.log
PlugStackConfig={folder}/etc/plugstack.conf
MailProg=/bin/true
# No control groups, no binding: a node is no more than its namespaces.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
# Nodes have what is written here, whatever the machine has.
SlurmdParameters=config_overrides
GresTypes=gpu
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0
JobRequeue=1
KillWait=5
MinJobAge=3600
JobAcctGatherType=jobacct_gather/linux
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/jobs.txt
ReturnToService=2
# Busy machines are slow to answer.
MessageTimeout=60
BatchStartTimeout=60
SlurmdTimeout=300
NodeName=DEFAULT CPUs={cpus} Boards=1 SocketsPerBoard=2 CoresPerSocket={cores} ThreadsPerCore=1
NodeName=DEFAULT RealMemory={memory} Gres=gpu:a100:{gpus} State=UNKNOWN
{nodes}
PartitionName=batch Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class Lab:
    """A cluster with a login host and nodes `node1`, `node2`, ..., while its block lasts.

    `env` is the environment of whoever works with it, `folder` holds everything that it writes.
    """

    def __init__(self, folder, nodes=2):
        self.folder = Path(folder)
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]
        self.addresses = {"login": f"{NETWORK}.1"}
        self.addresses |= {node: f"{NETWORK}.{number}" for number, node in enumerate(self.nodes, 11)}
        self.env = os.environ | {"SLURM_CONF": str(self.folder / "etc/slurm.conf")}
        self._holders = {}

    def __enter__(self):
        try:
            self._write()
            self._start_munge()
            self._hold("login", "ip link add switch type bridge", "switch", "exec slurmctld -D")
            for node in self.nodes:
                self._start(node)
            self.until(lambda: self._idle() >= set(self.nodes), "nodes do not register")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """End all hosts and what runs on them."""
        for holder in reversed(self._holders.values()):
            holder.kill()
            holder.wait()
        self._holders.clear()

    # What one does with a cluster

    def login(self, *command, **more):
        """Run a command on the login host, outside of Slurm; see run_on."""
        return self.run_on("login", *command, **more)

    def run_on(self, host, *command, cwd=None, env=None, check=True, timeout=PATIENCE_S):
        """Run a command on a host, outside of Slurm, and return what ended, with its output as text.

        With `check` the test fails where it fails; `env` is added to the lab's.
        """
        ended = subprocess.run(
            [*self._enter(host, cwd or Path.cwd()), *map(str, command)],
            env=self.env | (env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check:
            assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
        return ended

    def sbatch(self, *arguments, **more):
        """Submit a job from the login host and return its number."""
        return int(self.login("sbatch", "--parsable", *arguments, **more).stdout.split(";")[0])

    def job(self, number):
        """Return what Slurm says of a job, by its own names: JobState, Restarts, ExitCode, NodeList, ..."""
        told = self.login("scontrol", "--oneliner", "show", "job", number).stdout
        return dict(word.split("=", 1) for word in told.split() if "=" in word)

    def state(self, number):
        """Return the state of a job: PENDING, RUNNING, COMPLETED, ..."""
        return self.job(number)["JobState"]

    def wait(self, number, states=ENDED, timeout=900):
        """Wait until a job is in one of some states, and return what Slurm says of it then."""
        self.until(lambda: self.state(number) in states, f"job {number} is not in {set(states)}", timeout)
        return self.job(number)

    def until(self, done, trouble, timeout=PATIENCE_S):
        """Wait until something is so; the test fails, with what the daemons wrote, where it never is."""
        limit = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < limit, f"{trouble} after {timeout} s:\n{self.told()}"
            time.sleep(0.1)

    # What may happen to one

    def down(self, node):
        """Take a node's power away; the controller learns of it at once, not when its patience ends."""
        self.login("ip", "link", "set", f"to-{node}", "down")  # first: nobody gets as much as a farewell
        holder = self._holders.pop(node)
        holder.kill()
        holder.wait()
        # The kernel takes its time with a network that nobody is in any more.
        self.login("ip", "link", "delete", f"to-{node}", check=False)
        self.login("scontrol", "update", f"nodename={node}", "state=down", "reason=power")

    def up(self, node):
        """Start a node anew that was down."""
        self._start(node)
        self.until(lambda: node in self._registered(), f"{node} does not come back")
        self.login(
            "scontrol", "update", f"nodename={node}", "state=resume", check=False
        )  # or has resumed itself
        self.until(lambda: node in self._idle(), f"{node} takes no jobs")

    def limit(self, job):
        """Let a running job's time limit come in 5 to 6 minutes, and that of its next start late again.

        With --signal=B:TERM@360 it is asked to end at once, and has that long for it on a busy machine.
        """
        hours, minutes, _ = map(int, self.job(job)["RunTime"].rpartition("-")[2].split(":"))
        limit, restarts = hours * 60 + minutes + 6, self.job(job)["Restarts"]
        self.login("scontrol", "update", f"jobid={job}", f"timelimit={limit}")
        self.until(lambda: self.job(job)["Restarts"] != restarts, f"job {job} does not begin anew", 600)
        self.login("scontrol", "update", f"jobid={job}", "timelimit=60")

    def hosts_file(self, host):
        """Return the /etc/hosts of a host; it is to be written in place, not replaced."""
        return self.folder / "etc" / f"hosts-{host}"

    def processes(self, node):
        """Return what runs on a node, as psutil sees it from outside; slurmd is the first."""
        first = psutil.Process(self._inside(node))
        return [first, *first.children(recursive=True)]

    def command_lines(self, node):
        """Return the command lines of what runs on a node."""
        found = []
        for process in self.processes(node):
            with suppress(psutil.Error):
                found.append(" ".join(process.cmdline()))
        return found

    def told(self):
        """Return what the daemons wrote, for tests that fail."""
        return "\n".join(f"== {log.name}\n{log.read_text()}" for log in sorted(self.folder.glob("log/*")))

    # How it is made

    def _write(self):
        for name in ("etc", "log", "state", "dev", "spool", "munge"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        devices = [self.folder / "dev" / f"nvidia{number}" for number in range(GPUS)]
        for device in devices:
            os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))  # /dev/null's: plain files are refused
        hosts = "".join(f"{address} {host}\n" for host, address in self.addresses.items())
        for host in self.addresses:
            self.hosts_file(host).write_text(f"127.0.0.1 localhost\n{hosts}")
        nodes = [f"NodeName={node} NodeAddr={self.addresses[node]}" for node in self.nodes]
        conf = CONF.format(
            folder=self.folder, network=NETWORK, nodes="\n".join(nodes),
            cpus=CPUS, cores=CPUS // 2, memory=MEMORY_MB, gpus=GPUS,
        )  # fmt: skip
        (self.folder / "etc/slurm.conf").write_text(conf)
        gpus = f"AutoDetect=off\nName=gpu Type=a100 File={devices[0]}[0-{GPUS - 1}]\n"
        (self.folder / "etc/gres.conf").write_text(gpus.replace("nvidia0[", "nvidia["))
        (self.folder / "etc/plugstack.conf").touch()
        key = self.folder / "munge/key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)

    def _start_munge(self):
        place = self.folder / "munge"
        files = [f"--key-file={place}/key", f"--socket={place}/socket", f"--pid-file={place}/pid"]
        files += [f"--log-file={self.folder}/log/munged.log", f"--seed-file={place}/seed"]
        self._holders["munge"] = self._popen("munge", "munged", "--foreground", "--force", *files)
        self.until((place / "socket").exists, "munged does not start")

    def _start(self, node):
        number = self.nodes.index(node) + 1
        (self.folder / "spool" / node).mkdir(exist_ok=True)
        self._hold(
            node, "", f"net{number}", f"exec slurmd -D -N {node}"
        )  # interfaces have other names everywhere
        plug = ["ip", "link", "add", f"to-{node}", "type", "veth", "peer", "name", f"net{number}"]
        # Only the login's network is entered: the node's number is one of this machine's.
        self._in_network("login", *plug, "netns", str(self._inside(node)))
        self._in_network("login", "ip", "link", "set", f"to-{node}", "master", "switch", "up")

    def _hold(self, host, first, interface, last):
        """Start a host: it waits for its interface, and becomes its daemon."""
        script = f"""
            hostname {host}
            mount --bind {self.hosts_file(host)} /etc/hosts
            {first}
            until ip address add {self.addresses[host]}/24 dev {interface} 2>/dev/null; do sleep 0.02; done
            ip link set lo up
            ip link set {interface} up
            {last}
        """
        spaces = ["--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self._holders[host] = self._popen(host, "unshare", *spaces, "sh", "-c", script)
        self.until(lambda: self._inside(host), f"{host} does not start")

    def _popen(self, name, *command):
        with (self.folder / "log" / f"{name}.out").open("ab") as log:
            return subprocess.Popen(
                command,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests
                preexec_fn=_end_with_tests,
            )

    def _inside(self, host):
        """Return the number of a host's first process, or None."""
        holder = self._holders[host].pid
        try:
            children = Path(f"/proc/{holder}/task/{holder}/children").read_text().split()
        except FileNotFoundError:
            return None
        return int(children[0]) if children else None

    def _enter(self, host, folder):
        spaces = ["--net", "--uts", "--mount", "--pid"]
        return ["nsenter", "--target", str(self._inside(host)), *spaces, f"--wdns={folder}"]

    def _in_network(self, host, *command):
        subprocess.run(["nsenter", "--target", str(self._inside(host)), "--net", *command], check=True)

    def _idle(self):
        return self._nodes_in("idle")

    def _registered(self):
        return set(self.nodes) - self._nodes_in("no_respond")

    def _nodes_in(self, state):
        listed = self.login("sinfo", "-h", "-N", "-t", state, "-o", "%N", check=False)
        return set(listed.stdout.split())


def lacking():
    """Return why there can be no lab here, or None."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "namespaces take root on Linux"
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        return f"not installed: {', '.join(missing)} ({INSTALL})"
    spaces = ["unshare", "--net", "--uts", "--mount", "--pid", "--fork", "--mount-proc", "true"]
    if subprocess.run(spaces, capture_output=True, check=False).returncode != 0:
        return "this machine lets nobody make namespaces"
    return None


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Yield a cluster of three nodes; a test that takes one down brings it up again."""
    if reason := lacking():
        pytest.skip(f"no Slurm of several hosts here: {reason}")
    with Lab(tmp_path_factory.mktemp("lab") / "slurm", nodes=3) as made:
        yield made


def _end_with_tests():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: when the thread that starts it ends
