"""Reads what a launcher of several processes (torchrun, srun) tells this one in its environment.

``torchrun`` sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT.  Slurm's ``srun`` sets
SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID and SLURM_STEP_NODELIST; the address at which the
processes meet is derived from the last.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from tinynet.errors import UsageError

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")


def environment_of_no_rank() -> dict[str, str]:
    """This process's environment, without what makes a process one rank of several."""
    names = {*_TORCHRUN, *_SLURM, "LOCAL_WORLD_SIZE"}
    return {name: value for name, value in os.environ.items() if name not in names}


class LaunchedProcess(NamedTuple):
    """This process is rank ``rank`` of ``solvers``, and rank ``local_rank`` on its machine."""

    rank: int
    solvers: int
    local_rank: int


def this_process() -> LaunchedProcess | None:
    """This process's rank as a launcher gave it; None if there is no launcher, or one process only.

    Under ``srun`` this sets MASTER_ADDR and MASTER_PORT unless the user has set them.  Raises
    UsageError if a variable is not a number.
    """
    given = os.environ
    names = _TORCHRUN if "RANK" in given and "WORLD_SIZE" in given else _SLURM
    if not all(name in given for name in names[:2]):
        return None
    values = [given.get(name, given[names[0]]) for name in names]
    if not all(value.isdecimal() for value in values):
        raise UsageError(
            f"{', '.join(names)} in the environment must be numbers; got {', '.join(values)}"
        )
    process = LaunchedProcess(*map(int, values))
    if process.solvers == 1:
        return None
    if names == _SLURM:
        hosts = given.get("SLURM_STEP_NODELIST", "")
        # a machine need not be able to resolve the name that Slurm has for it
        is_one = given.get("SLURM_STEP_NUM_NODES") == "1" or not hosts
        given.setdefault("MASTER_ADDR", "127.0.0.1" if is_one else first_host(hosts))
        # the same on every machine of a step, and different for the next step
        step = int(given.get("SLURM_JOB_ID", "0")) * 31 + int(given.get("SLURM_STEP_ID", "0"))
        given.setdefault("MASTER_PORT", str(20000 + step % 10000))
    return process


def first_host(hosts: str) -> str:
    """The first host of Slurm's host list: ``gpu07`` of ``gpu[07-09,12],login1``."""
    found = re.match(r"([^,\[]+)(?:\[(\d+))?", hosts)
    return "".join(part for part in found.groups() if part) if found else hosts


def processes_sharing_cores() -> int:
    """How many launched processes share the cores that this one may run on.

    1 if each has cores of its own: under ``srun`` with ``--cpus-per-task`` or with bound tasks.
    """
    given = os.environ
    if "LOCAL_WORLD_SIZE" in given:
        tasks = [given["LOCAL_WORLD_SIZE"]]
    elif "SLURM_CPUS_PER_TASK" in given or "mask_cpu" in given.get("SLURM_CPU_BIND", ""):
        return 1
    else:  # tasks on each machine, as in "2(x3),1"
        tasks = re.findall(r"(?:^|,)(\d+)", given.get("SLURM_STEP_TASKS_PER_NODE", "1"))
    return max([1, *(int(number) for number in tasks if number.isdecimal())])
