"""Job lists through Slurm: ``sbatch``'s array jobs, whose tasks are requeued when stopped."""

from __future__ import annotations

from collections.abc import Sequence

from tinynet.errors import StoppedEarly, UsageError
from tinynet.jobs import batch_script
from tinynet.jobs.batch_script import BatchRequest, JobContext
from tinynet.jobs.job_list import Job
from tinynet.jobs.submission import BatchSystem


def render(jobs: Sequence[Job], context: JobContext, request: BatchRequest) -> str:
    """The batch script of an array in which each task does one of ``jobs``."""
    solvers = jobs[0].solvers  # the same for all, see batch_script.arrays
    array = f"0-{len(jobs) - 1}"
    if request.at_once is not None:
        array += f"%{request.at_once}"
    log = context.logs.replace("%", "%%") + "slurm-%A_%a.log"
    directives = [
        f"--job-name={batch_script.plain_name(context.folder)}",
        f"--array={array}",
        f"--cpus-per-task={request.cpus or solvers}",
        f"--signal=B:USR1@{request.warning}",
        "--requeue",
        "--open-mode=append",
        _option("--output", log),
    ]
    if request.seconds is not None:
        directives.append(f"--time={batch_script.time_text(request.seconds)}")
    if request.gpu and not request.has_option("--gres", "--gpus"):
        directives.append(f"--gres=gpu:{solvers}")
    if request.memory:
        directives.append(f"--mem={request.memory}")
    directives += request.options
    lines = batch_script.head("tinynet jobs slurm", "#SBATCH", directives)
    lines += batch_script.body(
        jobs,
        context,
        request,
        "SLURM_ARRAY_TASK_ID",
        ("USR1", "TERM"),
        '"${SLURM_CPUS_PER_TASK:-1}"',
    )
    return "\n".join([*lines, *_END, ""])


# A task in the state RUNNING was told to stop before its time limit or in a preemption's grace
# time: it is put back into the queue.  A task that Slurm itself is ending (scancel, or a preemption
# or node failure after which Slurm requeues it) is in the state COMPLETING by now.
_END = [
    "task=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}",
    f'if [ "$status" -eq {StoppedEarly.exit_status} ] && [ -n "$signalled" ]; then',
    '    if scontrol show job "$SLURM_JOB_ID" | grep -q JobState=RUNNING; then',
    '        scontrol requeue "$task" && echo "$job resumes when $task is started again"',
    "    else",
    '        echo "$job was ended by Slurm; submit the list again unless it starts $task again"',
    "    fi",
    "fi",
    'exit "$status"',
]


def _option(name: str, value: str) -> str:
    """An option in a line that sbatch reads; its value is quoted if necessary.

    Raises UsageError for a backslash: Slurm then expands no patterns in a log's name.
    """
    if "\\" in value:
        raise UsageError(f"{value}: Slurm cannot write into a folder with a backslash in its name")
    if all(c.isalnum() or c in "/._-%=+,:@" for c in value):
        return f"{name}={value}"
    return name + '="' + value.replace('"', '\\"') + '"'


SLURM = BatchSystem(render, ("sbatch", "--parsable"), "--dependency=afterany:{}")
