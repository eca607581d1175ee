"""Job lists through Grid Engine (SGE, UGE, Son of Grid Engine): ``qsub``'s array jobs.

``-notify`` makes Grid Engine send SIGUSR2 before it kills a task and SIGUSR1 before it suspends
one; a soft time limit (``s_rt``) sends SIGUSR1 too.  Exit status 99 puts a task back in the queue.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from tinynet.errors import StoppedEarly
from tinynet.jobs import batch_script
from tinynet.jobs.batch_script import BatchRequest, JobContext
from tinynet.jobs.job_list import Job
from tinynet.jobs.submission import BatchSystem

_REQUEUE = 99


def render(jobs: Sequence[Job], context: JobContext, request: BatchRequest) -> str:
    """The batch script of an array in which each task does one of ``jobs``."""
    solvers = jobs[0].solvers  # the same for all, see batch_script.arrays
    cpus = request.cpus or solvers
    directives = [
        f"-N {batch_script.plain_name(context.folder)}",
        "-S /bin/bash",
        f"-t 1-{len(jobs)}",
        "-notify",
        "-r y",
        "-j y",
        f"-o {shlex.quote(context.logs)}",
    ]
    if request.at_once is not None:
        directives.append(f"-tc {request.at_once}")
    if request.seconds is not None:
        soft = max(1, request.seconds - request.warning)
        hard, soft_text = batch_script.time_text(request.seconds), batch_script.time_text(soft)
        directives.append(f"-l h_rt={hard},s_rt={soft_text}")
    if cpus > 1 and not request.has_option("-pe"):
        directives.append(f"-pe smp {cpus}")
    if request.gpu and not any(re.match(r"-l .*gpu", option) for option in request.options):
        directives.append(f"-l gpu={solvers}")
    if request.memory:
        directives.append(f"-l h_vmem={request.memory}")
    directives += request.options
    lines = batch_script.head("tinynet jobs sge", "#$", directives)
    lines += batch_script.body(
        jobs, context, request, "SGE_TASK_ID - 1", ("USR1", "USR2", "TERM"), '"${NSLOTS:-1}"'
    )
    return "\n".join([*lines, *_END, ""])


_END = [
    f'if [ "$status" -eq {StoppedEarly.exit_status} ] && [ -n "$signalled" ]; then',
    '    echo "$job resumes when the task is started again"',
    f"    exit {_REQUEUE} # back into the queue",
    "fi",
    'exit "$status"',
]


GRID_ENGINE = BatchSystem(render, ("qsub", "-terse"), "-hold_jid {}")
