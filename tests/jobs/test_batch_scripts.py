"""The batch scripts are plain bash without shellcheck findings, whatever the names."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli import command
from tinynet.errors import TinynetError, UsageError
from tinynet.jobs import batch_script, grid_engine, slurm
from tinynet.jobs.additions import add_jobs
from tinynet.jobs.batch_script import BatchRequest, JobContext
from tinynet.jobs.children import PACKAGE
from tinynet.jobs.commands import with_device
from tinynet.jobs.job_list import Job
from tinynet.jobs.slots import SingleSlot

SYSTEMS = {"slurm": slurm, "sge": grid_engine}
NAMES = ["plain", "it's", 'q"uote', "$(touch hacked)", "`touch hacked`", "a  b", "*", "~",
         "<<list>>", "#!;&|", "\\", "ü"]  # fmt: skip
Render = Callable[..., str]


def jobs(*names: str) -> list[Job]:
    return [Job(name, (("stages",),)) for name in names]


@pytest.fixture(params=SYSTEMS)
def render(request: pytest.FixtureRequest) -> Render:
    return SYSTEMS[request.param].render


def test_scripts_pass_bash_and_shellcheck(render: Render, tmp_path: Path) -> None:
    context = JobContext(Path("/home/me/it's a dir"), Path("/home/me/it's a dir/list $x"))
    request = BatchRequest(3600, 60, 4, 8, True, "16G", ("--partition=gpu",), True)
    for n, text in enumerate([render(jobs(*NAMES), context, request),
                              render(jobs("a"), context, BatchRequest())]):  # fmt: skip
        script = tmp_path / f"{n}.sh"
        script.write_text(text)
        subprocess.run(["bash", "-n", script], check=True)
        shellcheck = shutil.which("shellcheck") or str(Path(sys.executable).with_name("shellcheck"))
        # names in single quotes may look as if they were meant to expand
        check = [shellcheck, "--exclude=SC2016,SC1003", script]
        found = subprocess.run(check, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co")), min_size=1),
                min_size=1, max_size=4, unique=True))  # fmt: skip
def test_bash_reads_every_name_unchanged(render: Render, names: list[str]) -> None:
    context = JobContext(Path("/x"), Path("/x/list"))
    text = render(jobs(*names), context, BatchRequest())
    array = text[text.index("jobs=(") : text.index("job=${")]
    printed = subprocess.run(["bash", "-c", array + "printf '%s\\0' \"${jobs[@]}\""],
                             capture_output=True, check=True)  # fmt: skip
    assert printed.stdout.decode().split("\0")[:-1] == names


def directives(text: str, prefix: str) -> list[str]:
    lines = [line for line in text.splitlines() if line.startswith(prefix)]
    return [line[len(prefix) + 1 :] for line in lines]


def test_slurm_directives_follow_the_request() -> None:
    context = JobContext(Path("/home/me"), Path("/home/me/my 50% list"))
    request = BatchRequest(8 * 3600 + 61, 300, 4, 8, True, "16G", ("--partition=gpu", "--qos=low"))
    assert directives(slurm.render(jobs("a", "b", "c"), context, request), "#SBATCH") == [
        "--job-name=tinynet-my_50_list",
        "--array=0-2%4",
        "--cpus-per-task=8",
        "--signal=B:USR1@300",
        "--requeue",
        "--open-mode=append",
        '--output="/home/me/my 50%% list/logs/slurm-%A_%a.log"',
        "--time=8:01:01",
        "--gres=gpu:1",
        "--mem=16G",
        "--partition=gpu",
        "--qos=low",
    ]


def test_grid_engine_directives_follow_the_request() -> None:
    context = JobContext(Path("/home/me"), Path("/home/me/my list"))
    request = BatchRequest(3600, 300, 4, 8, True, "4G", ("-q gpu.q",))
    assert directives(grid_engine.render(jobs("a", "b", "c"), context, request), "#$") == [
        "-N tinynet-my_list",
        "-S /bin/bash",
        "-t 1-3",
        "-notify",
        "-r y",
        "-j y",
        "-o '/home/me/my list/logs/'",
        "-tc 4",
        "-l h_rt=1:00:00,s_rt=0:55:00",
        "-pe smp 8",
        "-l gpu=1",
        "-l h_vmem=4G",
        "-q gpu.q",
    ]


def test_an_array_requests_as_many_gpus_as_its_jobs_have_solvers() -> None:
    alone, *pairs = [
        Job(name, (("train", "s.prototxt", *words), ("evaluate", "r", "--solvers", "9")))
        for name, words in (("a", ()), ("b", ("--solvers", "2")), ("c", ("--solvers=2",)))
    ]
    arrays = batch_script.arrays([pairs[0], alone, pairs[1]])
    assert arrays == [[alone], pairs]
    context, request = JobContext(Path("/d"), Path("/d/list")), BatchRequest(gpu=True)
    for jobs_, count in zip(arrays, (1, 2)):
        slurms = slurm.render(jobs_, context, request)
        assert f"#SBATCH --gres=gpu:{count}\n" in slurms
        assert f"#SBATCH --cpus-per-task={count}\n" in slurms
        assert f"#$ -l gpu={count}\n" in grid_engine.render(jobs_, context, request)
    # the task's own two GPUs, starting at the one that its script names
    slot = SingleSlot(0, cpu=False, threads=None).take(2)
    assert slot is not None and slot.together == ("--gpus", "0,1")
    assert with_device(("train", "s", "--gpus", "2"), slot.arguments) == (
        *("train", "s", "--gpus", "2"),
    )


def test_directives_of_the_site_replace_the_default_ones() -> None:
    context = JobContext(Path("/x"), Path("/x/list"))
    request = BatchRequest(cpus=4, gpu=True, options=("--gpus=a100:1",))
    assert "--gres=gpu:1" not in directives(slurm.render(jobs("a"), context, request), "#SBATCH")
    request = BatchRequest(cpus=4, gpu=True, options=("-pe openmp 4", "-l ngpus=1"))
    found = directives(grid_engine.render(jobs("a"), context, request), "#$")
    assert [line for line in found if line.startswith(("-pe", "-l"))] == list(request.options)


@pytest.mark.parametrize("option", ["--x\nrm -rf ~", "--x\r", "--x\0"])
def test_an_option_with_a_line_break_is_refused(render: Render, option: str) -> None:
    context = JobContext(Path("/x"), Path("/x/list"))
    with pytest.raises(UsageError, match="cannot be written to a batch script"):
        render(jobs("a"), context, BatchRequest(options=(option,)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("30:15", 1815), ("8:00:00", 28800), ("1-0", 86400), ("2-12", 216000),
     ("1-2:30", 95400), ("0-0:0:7", 7)],
)  # fmt: skip
def test_time_limits_are_parsed_as_slurm_parses_them(text: str, seconds: int) -> None:
    assert batch_script.parse_time(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "1:2:3:4", "-5", "1h", "1-", "-", "1:", "1.5", "a-1"])
def test_an_invalid_time_limit_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="give minutes"):
        batch_script.parse_time(text)


# ------------------------------------------------------------------ the scripts, run by hand

# stand-in for `python .../tinynet jobs run`: prints its arguments and waits for a signal
PYTHON = """#!/bin/bash
printf '%s|' "$@" >>said
echo "$PWD" >>said
trap 'echo; echo stopped >>said; exit 75' USR1
echo started >&2
for ((tick = 0; tick < TICKS; tick++)); do sleep 0.1; done  # bash may lose a trap in a $(…)
exit "$STATUS"
"""
SCONTROL = """#!/bin/bash
echo "scontrol $*" >>said
[ "$1" != show ] || echo "JobId=1 JobState=$STATE"
"""


def start_script(
    folder: Path, system: str, name: str, state: str = "RUNNING", ticks: int = 600, status: int = 0
) -> subprocess.Popen[str]:
    """One task of an array of one job, under stand-ins for Python and scontrol."""
    place = folder / "it's $HOME"
    (place / "bin").mkdir(parents=True)
    for program, text in (("python", PYTHON), ("scontrol", SCONTROL)):
        (place / "bin" / program).write_text(text)
        (place / "bin" / program).chmod(0o755)
    context = JobContext(place, place / "a list", str(place / "bin/python"))
    script = folder / "script.sh"
    script.write_text(SYSTEMS[system].render(jobs("first", name), context, BatchRequest()))
    return subprocess.Popen(
        ["bash", script],
        env={
            **os.environ, "PATH": f"{place}/bin:{os.environ['PATH']}",
            "SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_JOB_ID": "77", "SLURM_JOB_ID": "78",
            "SGE_TASK_ID": "2", "STATE": state, "TICKS": str(ticks), "STATUS": str(status),
        },
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def said(folder: Path) -> list[str]:
    return (folder / "it's $HOME/said").read_text().splitlines()


def wait_until_started(child: subprocess.Popen[str]) -> None:
    assert child.stderr is not None
    assert child.stderr.readline() == "started\n"


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("status", [0, 1, 75, 137])
def test_the_task_exits_with_the_status_of_the_run(
    tmp_path: Path, system: str, status: int
) -> None:
    child = start_script(tmp_path, system, 'it\'s "$(x)"', ticks=1, status=status)
    child.communicate()
    assert child.returncode == status
    place = tmp_path / "it's $HOME"
    arguments = f'{PACKAGE}|jobs|run|{place}/a list|it\'s "$(x)"|--cpu|--threads|1|{place}'
    assert said(tmp_path) == [arguments], "it was requeued unasked, or the job was another"


@pytest.mark.parametrize(
    ("system", "name", "state", "status", "requeued"),
    [
        ("slurm", "USR1", "RUNNING", 75, True),
        ("slurm", "TERM", "RUNNING", 75, True),
        ("slurm", "TERM", "COMPLETING", 75, False),
        ("sge", "USR1", "", 99, False),
        ("sge", "USR2", "", 99, False),
        ("sge", "TERM", "", 99, False),
    ],
)
def test_a_signal_reaches_the_run_and_the_task_is_requeued(
    tmp_path: Path, system: str, name: str, state: str, status: int, requeued: bool
) -> None:
    child = start_script(tmp_path, system, "job", state)
    wait_until_started(child)
    child.send_signal(getattr(signal, f"SIG{name}"))
    output, _ = child.communicate()
    assert child.returncode == status
    assert f"SIG{name}: job is told to stop" in output
    assert "stopped" in said(tmp_path)
    assert ("scontrol requeue 77_1" in said(tmp_path)) is requeued


def test_repeated_signals_stop_the_run_once(tmp_path: Path) -> None:
    child = start_script(tmp_path, "slurm", "job")
    wait_until_started(child)
    for _ in range(5):
        child.send_signal(signal.SIGUSR1)
        time.sleep(0.01)
    child.communicate()
    assert child.returncode == 75
    assert said(tmp_path).count("scontrol requeue 77_1") == 1


# ------------------------------------------------------------------ tinynet jobs slurm, sge


def test_only_unfinished_jobs_are_submitted_and_in_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["a", "b'", "c"]
    add_jobs(folder, [*jobs(*names), Job("last", (("stages",),), None, tuple(names))])
    assert command.run("jobs", "run", folder, "a", "--cpu").status == 0
    done = command.run("jobs", "slurm", folder, "--time", "1:00:00")
    assert done.stdout.splitlines() == [
        f"id=$(sbatch --parsable {folder}/slurm-1.sh)",
        f'id=$(sbatch --parsable --dependency=afterany:"${{id%%[.;]*}}" {folder}/slurm-2.sh)',
    ]
    text = (folder / "slurm-1.sh").read_text()
    b = shlex.quote("b'")
    assert f"jobs=(\n    {b}\n    c\n)\n" in text
    assert "    last\n" in (folder / "slurm-2.sh").read_text()
    done = command.run("jobs", "sge", folder)
    second = done.stdout.splitlines()[1]
    assert second == f'id=$(qsub -terse -hold_jid "${{id%%[.;]*}}" {folder}/sge-2.sh)'


@pytest.mark.parametrize(("system", "program"), [("slurm", "sbatch"), ("sge", "qsub")])
def test_submitting_prints_the_job_ids_or_the_error(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, program: str
) -> None:
    add_jobs(folder, [*jobs("a"), Job("last", (("stages",),), None, ("a",))])
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}/bin")
    missing = command.run("jobs", system, folder, "--submit")
    assert missing.status == 1 and f"{program} is not on this machine" in missing.stderr
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/bin:/usr/bin")
    stand_in = tmp_path / "bin" / program
    stand_in.write_text('#!/bin/bash\necho "$*" >>calls\necho "4$(wc -l <calls).1-1:1"\n')
    stand_in.chmod(0o755)
    assert command.run("jobs", system, folder, "--submit").stdout.split()[0].startswith("41")
    calls = Path("calls").read_text().splitlines()
    assert ("41" in calls[1]) and ("afterany" in calls[1] or "-hold_jid 41 " in calls[1])
    stand_in.write_text("#!/bin/bash\necho 'error: no such\n partition' >&2; exit 1\n")
    refused = command.run("jobs", system, folder, "--submit")
    assert refused.status == 1 and f"{program}: error: no such partition" in refused.stderr


def test_a_time_limit_shorter_than_its_warning_is_refused(folder: Path) -> None:
    add_jobs(folder, jobs("a"))
    done = command.run("jobs", "slurm", folder, "--time", "1", "--warning", "60")
    assert done.status == 2 and "leaves no time" in done.stderr


def test_a_backslash_in_the_path_is_refused_only_for_slurm() -> None:
    context = JobContext(Path("/x"), Path("/x/a\\b"))
    assert "a\\b" in grid_engine.render(jobs("a"), context, BatchRequest())
    with pytest.raises(TinynetError, match="backslash"):
        slurm.render(jobs("a"), context, BatchRequest())
