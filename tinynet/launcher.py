"""What a launcher of several processes says of this one in the environment.

``torchrun`` gives RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; Slurm's ``srun`` gives
SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID and SLURM_STEP_NODELIST, of which the address
where the processes meet is made.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from tinynet.errors import UsageError

_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
_SLURM = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")


class Place(NamedTuple):
    """Rank ``rank`` of ``solvers``, and number ``local`` on its machine."""

    rank: int
    solvers: int
    local: int


def in_environment() -> Place | None:
    """This process's place as a launcher gave it; None without one, or where it started one only.

    Under ``srun`` MASTER_ADDR and MASTER_PORT are set, where the user has not.  Raises UsageError
    for numbers that are none.
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
    place = Place(*map(int, values))
    if place.solvers == 1:
        return None
    if names == _SLURM:
        hosts = given.get("SLURM_STEP_NODELIST", "")
        # Slurm's name of a machine need not be one that it knows itself by
        is_one = given.get("SLURM_STEP_NUM_NODES") == "1" or not hosts
        given.setdefault("MASTER_ADDR", "127.0.0.1" if is_one else first_host(hosts))
        # the same on every machine of the step, and another for the next step
        step = int(given.get("SLURM_JOB_ID", "0")) * 31 + int(given.get("SLURM_STEP_ID", "0"))
        given.setdefault("MASTER_PORT", str(20000 + step % 10000))
    return place


def first_host(hosts: str) -> str:
    """The first of Slurm's host list: ``gpu07`` of ``gpu[07-09,12],login1``."""
    found = re.match(r"([^,\[]+)(?:\[(\d+))?", hosts)
    return "".join(part for part in found.groups() if part) if found else hosts


def sharing_cores() -> int:
    """Among how many of the launched processes the cores that this one may run on are divided.

    1 where the launcher has given each its own: ``srun`` with ``--cpus-per-task`` or bound tasks.
    """
    given = os.environ
    if "LOCAL_WORLD_SIZE" in given:
        tasks = [given["LOCAL_WORLD_SIZE"]]
    elif "SLURM_CPUS_PER_TASK" in given or "mask_cpu" in given.get("SLURM_CPU_BIND", ""):
        return 1
    else:  # 2(x3),1: tasks of each machine
        tasks = re.findall(r"(?:^|,)(\d+)", given.get("SLURM_STEP_TASKS_PER_NODE", "1"))
    return max([1, *(int(number) for number in tasks if number.isdecimal())])
