"""A Slurm of one node on this machine, with its own folders, ports and keys, gone when closed.

munged, slurmctld and slurmd run as our children, in the foreground, and are ended by their process
ids.  Needs Debian's ``slurm-wlm`` and ``munge``, and root (slurmd starts steps as their user).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel")

CONF = """
ClusterName=small
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
KillWait=10
MinJobAge=86400
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=100000
SlurmdParameters=config_overrides
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node_port} CPUs=2 State=UNKNOWN
PartitionName=main Nodes=node1 Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str | None:
    """Return why no Slurm can be started here, or None."""
    found = [name for name in PROGRAMS if _program(name) is None]
    if found:
        return f"no Slurm here ({', '.join(found)} not found): apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "slurmd starts jobs as root only"


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """A Slurm cluster of one node with two CPUs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        for name in ("state", "spool"):
            (folder / name).mkdir()
        (folder / "slurm.conf").write_text(
            CONF.format(
                folder=folder,
                host=socket.gethostname().split(".")[0],
                controller_port=_free_port(),
                node_port=_free_port(),
            )
        )
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o400)
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        """Start the three daemons; raises RuntimeError with their logs where that fails."""
        f = self.folder
        munge = [f"--socket={f}/munge.socket", f"--key-file={f}/munge.key"]
        munge += [f"--pid-file={f}/munge.pid", f"--log-file={f}/munge.log"]
        self._begin("munged", "--foreground", "--force", f"--seed-file={f}/munge.seed", *munge)
        self._wait(lambda: (f / "munge.socket").exists())
        self._begin("slurmctld", "-D", "-f", str(f / "slurm.conf"))
        self._begin("slurmd", "-D", "-f", str(f / "slurm.conf"), "-N", "node1")
        self._wait(lambda: self.node_state() == "idle")

    def _begin(self, name: str, *arguments: str) -> None:
        program = _program(name)
        assert program is not None
        with (self.folder / f"{name}.out").open("wb") as out:
            self._processes.append(
                subprocess.Popen(
                    [program, *arguments],
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                )
            )

    def _wait(self, ready) -> None:  # type: ignore[no-untyped-def]
        for _ in range(600):
            if ready():
                return
            dead = [p.args[0] for p in self._processes if p.poll() is not None]  # type: ignore[index]
            if dead:
                break
            time.sleep(0.1)
        logs = [*self.folder.glob("*.log"), *self.folder.glob("*.out")]
        tails = "\n".join(f"{log}:\n{log.read_text()[-2000:]}" for log in logs)
        raise RuntimeError(f"Slurm did not start\n{tails}")

    def close(self) -> None:
        """Cancel the remaining jobs and end the daemons, the last one first."""
        if len(self._processes) == 3 and all(p.poll() is None for p in self._processes):
            self.run("scancel", "--user=root", "--signal=KILL", "--full")
            self.run("scancel", "--user=root")
            self._wait_or_not(lambda: not self.run("squeue", "-h", "-t", "R,CG").strip())
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _wait_or_not(self, ready) -> None:  # type: ignore[no-untyped-def]
        for _ in range(100):
            if ready():
                return
            time.sleep(0.1)

    def run(self, *command: str, cwd: Path | None = None) -> str:
        """Run one of Slurm's commands and return what it printed."""
        child = subprocess.run(
            command, env=self.environment, cwd=cwd, capture_output=True, text=True,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if child.returncode != 0 and command[0] != "scancel":
            raise RuntimeError(f"{' '.join(command)}: {child.stdout}{child.stderr}")
        return child.stdout

    def bring_back(self) -> None:
        """Return the node to service, unless Slurm, which sees it answer, has already done so."""
        while self.node_state().startswith("down"):
            with contextlib.suppress(RuntimeError):  # it came back in the meantime
                self.run("scontrol", "update", "nodename=node1", "state=resume")

    def node_state(self) -> str:
        try:
            return self.run("sinfo", "-h", "-o", "%T").strip()
        except RuntimeError:  # the controller is not up yet
            return ""

    def task_states(self, job: str) -> dict[str, str]:
        """State of every task of an array (or of a single job), by its number, "N/A" for none."""
        lines = self.run("squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%K %T").splitlines()
        return dict(line.split() for line in lines)

    def wait_until(self, jobs: Sequence[str], *wanted: str) -> None:
        """Wait until every task of the jobs is in one of the states; give up after minutes."""
        for _ in range(1500):
            found = {job: self.task_states(job) for job in jobs}
            if all(state in wanted for tasks in found.values() for state in tasks.values()):
                return
            time.sleep(0.2)
        raise RuntimeError(f"no task got to {' or '.join(wanted)}: {found}")
