"""Whatever a worker does, every kind of exchange ends and reports in one line what happened.

The worker is a stand-in that misbehaves in one way, for every kind of conversation that we hold.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.run import small_runs
from tinynet import control_groups
from tinynet.bench.rounds import Contestant, Row
from tinynet.engine import devices, foreground
from tinynet.engine.discovery import Engine
from tinynet.engine.process import WorkerProcess, start_worker
from tinynet.errors import TinynetError, UsageError
from tinynet.predict import evaluate
from tinynet.predict.inputs import Transform
from tinynet.run.launched import OtherRanks
from tinynet.run.session import Session
from tinynet.study import engine_parity as parity

START = f"#!{sys.executable}\nimport json, os, signal, subprocess, sys, time\n"
ERROR = """print(json.dumps({"event": "error", "message": "its own words"}), flush=True)
sys.exit(1)
"""
#: what a stand-in does, and what is said of it: with its log, and where the log is not kept
FAULTS = {
    "bad JSON": (
        'print("no JSON"); print("[1, 2]"); print("17"); print(\'{"no": "event"}\')\n'
        'print(\'{"event": 7}\'); print(\'{"event": "err\'); os.write(1, b"\\xff\\n")\n' + ERROR,
        "its own words",
        "its own words",
    ),
    "killed": (
        "os.kill(os.getpid(), signal.SIGKILL)",
        "the worker (caffe) was ended by SIGKILL, which someone sent: the kernel had memory "
        "left",
        None,
    ),
    "aborts": (
        'sys.stderr.write("F1122 23:11:43.123456 7 net.cpp:1] Check failed: a == b\\n")\n'
        'sys.stderr.write("*** Check failure stack trace: ***\\n"); sys.stderr.flush()\nos.abort()',
        "caffe gave up: Check failed: a == b",
        "the worker (caffe) was ended by SIGABRT",
    ),
    "closes its pipes": (
        'os.close(0); os.close(1)\ntime.sleep(0.1)\nos.write(2, b"last words\\n")\nos._exit(3)',
        "the worker (caffe) failed with status 3: last words",
        "the worker (caffe) failed with status 3: it said nothing",
    ),
    "floods its log": (
        'sys.stderr.write(("flood " * 20 + "\\n") * 10000 + "x" * 3000000); sys.stderr.flush()\n'
        'sys.stdout.write("stray\\n" * 20000)\n' + ERROR,
        "its own words",
        "its own words",
    ),
}  # fmt: skip


def stand_in(folder: Path, text: str) -> Engine:
    """An engine "caffe" whose interpreter runs ``text``, whatever its arguments."""
    path = folder / "python"
    path.write_text(START + text)
    path.chmod(0o755)
    return Engine("caffe", "caffe", str(path), "1.0")


def train(engine: Engine, folder: Path) -> str:
    plan = small_runs.plan(folder, engine)
    with pytest.raises(TinynetError):
        Session(plan, print, OtherRanks(None), lambda: None).run()
    assert plan.run.state == "failed"
    return plan.run.message.partition("; batch_size is")[0]  # the advice after a shortage


class Images:
    """Far more images than a pipe holds."""

    shape = (3, 64, 64)
    count = 200

    def records(self) -> Iterator[tuple[bytes, int]]:
        for _ in range(self.count):
            yield bytes(3 * 64 * 64), 0


TRANSFORM = Transform(mean=np.zeros(1, np.float32), crop_size=0, scale=1.0)


def predict(engine: Engine, folder: Path) -> str:
    request = evaluate.EvaluationRequest(folder, cpu=True)
    weights: Any = SimpleNamespace(path=folder / "w.caffemodel")
    images: Any = Images()
    with pytest.raises(TinynetError) as error:
        evaluate.compute(
            evaluate.Evaluation(request, weights, TRANSFORM, images, 1, engine, gpu=None)
        )
    return str(error.value)


def compare(engine: Engine, folder: Path) -> str:
    worker = parity._Worker(parity.EngineRun("caffe", engine), folder, lambda *_: None)
    with worker.start(["steps", "s"], None) as process, pytest.raises(TinynetError) as error:
        process.finish()
    return str(error.value)


def use_device(engine: Engine, folder: Path) -> str:
    with pytest.raises(TinynetError) as error:
        devices.require(engine, 0)
    return str(error.value)


def bench(engine: Engine, folder: Path) -> str:
    row = Row("p", "n", "img")
    contestant = Contestant(
        row, partial(start_worker, engine, ["bench", "train"], with_input=True), 1
    )
    contestant.round()
    contestant.close()
    assert row.rates == []
    return row.skipped


def in_foreground(engine: Engine, folder: Path) -> str:
    with pytest.raises(TinynetError) as error:
        foreground.run(engine, ["tool", "train"])
    return str(error.value)


CONVERSATIONS: tuple[Callable[[Engine, Path], str], ...] = (
    *(train, predict, compare, use_device, bench, in_foreground),
)


@pytest.mark.parametrize("converse", CONVERSATIONS)
@pytest.mark.parametrize("fault", FAULTS)
def test_every_worker_failure_ends_the_exchange_with_one_line(
    fault: str,
    converse: Callable[[Engine, Path], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(control_groups, "killed_for_memory", lambda: 0)
    text, said, without_log = FAULTS[fault]
    message = converse(stand_in(tmp_path, text), tmp_path)
    assert message == (without_log or said if converse is in_foreground else said)


def test_a_log_line_is_written_whole_despite_partial_writes(tmp_path: Path) -> None:
    """A disk that has just become full accepts a part without an error and refuses the rest."""

    class Disk:
        held = b""

        def write(self, data: memoryview) -> int:
            self.held += bytes(data[:3])
            return min(3, len(data))

    plan = small_runs.plan(tmp_path, stand_in(tmp_path, ""))
    session = Session(plan, print, OtherRanks(None), lambda: None)
    session._log = disk = Disk()  # type: ignore[assignment]
    session._write_log(["Iteration 1, loss = 4", "Iteration 2, loss = 3"])
    assert disk.held == b"Iteration 1, loss = 4\nIteration 2, loss = 3\n"


def test_a_worker_that_exits_0_without_taking_all_images_is_a_failure(tmp_path: Path) -> None:
    said = predict(stand_in(tmp_path, "sys.exit(0)"), tmp_path)
    assert said == "the worker (caffe) ended before it had all images"


def test_a_pipe_held_open_by_a_killed_workers_child_is_not_waited_for(tmp_path: Path) -> None:
    text = 'subprocess.Popen(["sleep", "600"])\nos.write(2, b"end\\n")\nos._exit(4)'
    engine = stand_in(tmp_path, text)
    with start_worker(engine, ["train"], own_session=True) as worker:
        assert worker.follow() == 4
        assert worker.fault().endswith("status 4: end")
        os.killpg(worker.pid, signal.SIGKILL)  # the sleep, which is of the worker's session


def test_the_last_events_of_a_worker_that_exits_between_two_polls_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = stand_in(tmp_path, "input()\nprint(json.dumps({'event': 'last'}), flush=True)")
    said: list[dict[str, Any]] = []
    with start_worker(engine, ["x"], with_input=True, take_event=said.append) as worker:
        select, looks = worker._selector.select, iter([True])

        def first_look(timeout: float | None = None) -> list[Any]:
            if not next(looks, False):
                return select(timeout)
            worker.say("now")  # on a busy machine we may not run again before it has ended
            worker._process.wait()
            return []

        monkeypatch.setattr(worker._selector, "select", first_look)
        assert worker.follow() == 0
    assert said == [{"event": "last"}]


def test_a_workers_usage_error_remains_a_usage_error(tmp_path: Path) -> None:
    engine = stand_in(tmp_path, ERROR.replace("exit(1)", "exit(2)"))
    with pytest.raises(UsageError, match="its own words"):
        foreground.run(engine, ["tool", "train"])


def test_a_signal_is_forwarded_once_to_the_worker(tmp_path: Path) -> None:
    """As from a terminal: to the parent's process group, to which the worker does not belong."""
    engine = stand_in(
        tmp_path,
        "seen = []\nsignal.signal(signal.SIGINT, lambda *a: seen.append(1))\n"
        "signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])\n"
        'open(sys.argv[-1], "w").close()\n'
        "while not seen: time.sleep(0.01)\ntime.sleep(0.2)\n"
        "sys.exit(75 if len(seen) == 1 else 1)\n",
    )
    code = (
        "import sys\nfrom tinynet.engine import foreground\n"
        "from tinynet.engine.discovery import Engine\n"
        f"engine = Engine('caffe', 'caffe', {engine.python!r}, '1')\n"
        f"sys.exit(foreground.run(engine, ['tool', {str(tmp_path / 'begun')!r}]))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    while not (tmp_path / "begun").exists():
        assert parent.poll() is None
        time.sleep(0.01)
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.wait(timeout=60) == 75


def test_an_interruption_while_a_worker_starts_leaves_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python delivers a Ctrl-C of that moment when signals are no longer held."""

    @contextlib.contextmanager
    def held() -> Iterator[None]:
        yield
        raise KeyboardInterrupt

    started = []

    def popen(*arguments: Any, **how: Any) -> subprocess.Popen[bytes]:
        started.append(start(*arguments, **how))
        return started[0]

    start = subprocess.Popen
    monkeypatch.setattr("tinynet.engine.process.signals.held", held)
    monkeypatch.setattr("tinynet.engine.process.subprocess.Popen", popen)
    with pytest.raises(KeyboardInterrupt):
        start_worker(stand_in(tmp_path, "time.sleep(60)"), ["x"])
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize(("starter", "status"), [("dead", 1), ("alive", 0)])
def test_a_worker_whose_starter_is_dead_ends_at_once(starter: str, status: int) -> None:
    """It may have died before the worker could ask the kernel to be told."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    pid = dead.pid if starter == "dead" else os.getpid()
    code = "from tinynet.engine.worker import channel; channel.die_with_parent()"
    # behind a shell, which is then the parent
    words = ["sh", "-c", '"$0" -c "$1"; exit $?', sys.executable, code]
    variables = small_runs.environment(TINYNET_STARTER=str(pid))
    assert subprocess.run(words, env=variables).returncode == status


def test_input_arrives_whole_while_the_worker_writes_output(tmp_path: Path) -> None:
    engine = stand_in(
        tmp_path,
        "data = b''\nwhile True:\n"
        "    part = sys.stdin.buffer.read(100000)\n"
        "    if not part: break\n"
        "    data += part\n    sys.stderr.write('log ' * 20000 + '\\n'); sys.stderr.flush()\n"
        "import zlib\nprint(json.dumps({'event': 'sum', 'crc': zlib.crc32(data)}))\n",
    )
    data = np.random.default_rng(1).integers(0, 256, 3_000_000, np.uint8).tobytes()
    said: list[dict[str, Any]] = []
    with start_worker(engine, ["x"], with_input=True, take_event=said.append) as worker:
        assert worker.send(data)
        worker.end_input()
        worker.finish()
    assert said == [{"event": "sum", "crc": zlib.crc32(data)}]


def test_waiting_for_an_event_consumes_the_events_before_it(tmp_path: Path) -> None:
    engine = stand_in(
        tmp_path,
        "for line in sys.stdin:\n"
        "    print(json.dumps({'event': 'note'}))\n"
        "    print(json.dumps({'event': 'round', 'of': int(line)}), flush=True)\n",
    )
    said: list[dict[str, Any]] = []
    with start_worker(engine, ["x"], with_input=True, take_event=said.append) as worker:
        for number in (3, 5):
            worker.send(b"%d\n" % number)
            assert worker.wait_for("round") == {"event": "round", "of": number}
        worker.end_input()
        assert worker.wait_for("round") is None and worker.status == 0
    assert [event["event"] for event in said] == ["note", "round"] * 2


def test_leaving_the_block_ends_a_worker_that_does_not_exit(tmp_path: Path) -> None:
    engine = stand_in(tmp_path, "time.sleep(600)")
    with pytest.raises(KeyError), start_worker(engine, ["x"]) as worker:
        raise KeyError
    assert worker.status == -signal.SIGKILL


def test_a_command_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        WorkerProcess(Engine("caffe", "caffe", "", ""), [str(tmp_path / "absent")])
