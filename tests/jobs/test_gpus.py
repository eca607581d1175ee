"""Choosing GPUs, on a stand-in for NVML: no test needs or queries a real GPU."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.cli import command
from tinynet.engine import devices
from tinynet.engine.failures import is_of_a_broken_gpu
from tinynet.errors import TinynetError, UsageError
from tinynet.jobs import gpus, local, states
from tinynet.jobs.additions import add_jobs
from tinynet.jobs.gpus import Gpu, Gpus, chosen
from tinynet.jobs.job_list import Job

ROOT = Path(__file__).parents[2]


def gpu(index: int, used: int = 400, processes: tuple[int, ...] = (), total: int = 24000) -> Gpu:
    return Gpu(index, f"GPU-{index}{index}", "Stand-in", total, total - used, processes)


class Machine:
    """GPUs whose state a test sets, at once or before the N-th look at them (``at_look``)."""

    def __init__(self, *found: Gpu) -> None:
        self.gpus = {g.index: g for g in found}
        self.looks = 0
        self.at_look: dict[int, Gpu] = {}

    def look(self) -> list[Gpu]:
        self.looks += 1
        if self.looks in self.at_look:
            self.set(self.at_look[self.looks])
        return list(self.gpus.values())

    def set(self, changed: Gpu) -> None:
        self.gpus[changed.index] = changed


def runner(machine: Machine, locks: Path, **options: Any) -> Gpus:
    return Gpus(list(machine.gpus.values()), look=machine.look, locks=locks, **options)


def take_label(slots: Gpus) -> str | None:
    slot = slots.take()
    return None if slot is None else slot.label


def test_the_idle_gpu_with_the_most_free_memory_is_taken(tmp_path: Path) -> None:
    machine = Machine(gpu(0, 900), gpu(1, 100, (4242,)), gpu(2, 300), gpu(3, 9000))
    slots = runner(machine, tmp_path)
    assert [take_label(slots) for _ in range(3)] == ["GPU 2", "GPU 0", None]


def test_without_visible_processes_used_memory_tells_an_idle_gpu_from_a_busy_one() -> None:
    assert gpu(0, 615, total=143_771).is_idle  # as NVML reports an H200
    assert not gpu(0, 1500, total=143_771).is_idle
    assert gpu(0, 900, total=24_000).is_idle
    assert not gpu(0, 900, total=8_000).is_idle


def test_a_slot_names_its_gpu_by_uuid_in_pci_bus_order(tmp_path: Path) -> None:
    slot = runner(Machine(gpu(0, 9000), gpu(1)), tmp_path).take()
    assert slot is not None and slot.arguments == ("--gpu", "0")
    assert slot.environment["CUDA_VISIBLE_DEVICES"] == "GPU-11"
    assert slot.environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_a_job_of_several_solvers_gets_as_many_gpus_numbered_from_0(tmp_path: Path) -> None:
    machine = Machine(gpu(0, 900), gpu(1, 100, (4242,)), gpu(2, 300), gpu(3, 500))
    slots = runner(machine, tmp_path)
    assert slots.take(4) is None, "one of them is another's"
    pair = slots.take(2)
    assert pair is not None and pair.label == "GPU 2,3"
    assert pair.environment["CUDA_VISIBLE_DEVICES"] == "GPU-22,GPU-33"
    assert (pair.arguments, pair.together) == (("--gpu", "0"), ("--gpus", "0,1"))
    assert slots.take(2) is None and take_label(runner(machine, tmp_path)) == "GPU 0"
    slots.give_back(pair)
    assert take_label(slots) == "GPU 2", "the locks of a returned pair were kept"
    slots.require(4, "job 'a'")
    with pytest.raises(UsageError, match="job 'a': trains on 5 GPUs together, and 4 may be used"):
        slots.require(5, "job 'a'")


def test_a_mig_slice_serves_one_solver_and_never_several(tmp_path: Path) -> None:
    slices = [Gpu(0, f"MIG-{n}", "Cut", 10000, 9900, is_slice=True) for n in range(3)]
    assert chosen([*slices, gpu(1)], None, "MIG-1,MIG-2") == slices[1:]
    assert chosen([*slices, gpu(1)], "0,", None) == slices
    slots = Gpus(slices, look=lambda: slices, locks=tmp_path)
    assert slots.take(2) is None
    with pytest.raises(UsageError, match="2 GPUs together, and 0 may be used"):
        slots.require(2, "job 'a'")
    one = slots.take()
    assert one is not None and one.environment["CUDA_VISIBLE_DEVICES"] == "MIG-0"


def test_two_runners_never_get_the_same_gpu_and_a_released_one_is_free_again(
    tmp_path: Path,
) -> None:
    machine = Machine(gpu(0), gpu(1, 500))
    first, second = runner(machine, tmp_path), runner(machine, tmp_path)
    mine = first.take()
    assert mine is not None and mine.label == "GPU 0"
    assert [take_label(second), take_label(second)] == ["GPU 1", None]
    first.give_back(mine)
    assert take_label(second) == "GPU 0"


def test_a_gpu_that_becomes_busy_before_it_is_locked_is_skipped(tmp_path: Path) -> None:
    machine = Machine(gpu(0), gpu(1, 500))
    machine.at_look = {2: gpu(0, 5000, (77,))}  # between the first look and the recheck
    slots = runner(machine, tmp_path)
    assert take_label(slots) == "GPU 1"
    machine.set(gpu(0))
    assert take_label(slots) == "GPU 0", "its lock was kept"


def test_the_memory_and_sharing_options_are_respected(tmp_path: Path) -> None:
    busy = Machine(gpu(0, 9000, (77,)), gpu(1, 20000, (78,)))
    assert take_label(runner(busy, tmp_path)) is None
    sharing = runner(busy, tmp_path, share=True, memory=8000)
    assert [take_label(sharing), take_label(sharing)] == ["GPU 0", None]
    idle = Machine(gpu(5, 100, total=3000))
    assert take_label(runner(idle, tmp_path, memory=4096)) is None


def test_a_driver_that_stops_answering_does_not_end_running_jobs(tmp_path: Path) -> None:
    machine, now = Machine(gpu(0), gpu(1)), [0.0]
    slots = runner(machine, tmp_path, leave_free=1, clock=lambda: now[0])
    mine = slots.take()
    assert mine is not None

    def look() -> list[Gpu]:
        raise TinynetError("no NVIDIA driver answers here (Driver/library version mismatch)")

    slots._look = look
    for _ in range(3):
        now[0] += 100
        assert slots.take() is None and slots.wanted_by_others() == 0
    slots.give_back(mine)
    with pytest.raises(TinynetError, match="version mismatch"):
        slots.take()


def test_every_user_can_open_the_lock_files_whatever_the_umask(tmp_path: Path) -> None:
    machine = Machine(gpu(0))
    before = os.umask(0o077)
    try:
        assert take_label(runner(machine, tmp_path / "locks")) == "GPU 0"
    finally:
        os.umask(before)
    assert (tmp_path / "locks").stat().st_mode & 0o7777 == 0o1777
    assert (tmp_path / "locks/GPU-00.lock").stat().st_mode & 0o777 == 0o644


def test_jobs_share_a_gpu_only_with_jobs_of_the_same_runner(tmp_path: Path) -> None:
    machine = Machine(gpu(0), gpu(1, 500))
    slots, other = runner(machine, tmp_path, per_gpu=2), runner(machine, tmp_path)
    found = [slots.take() for _ in range(5)]
    # every GPU gets one job before any gets a second
    assert [slot.label for slot in found if slot] == ["GPU 0", "GPU 1", "GPU 0", "GPU 1"]
    machine.set(gpu(0, 9000, (os.getpid(), 77)))  # our first jobs compute by now
    assert found[4] is None and take_label(other) is None
    assert found[0] is not None and found[2] is not None
    slots.give_back(found[0])
    assert take_label(other) is None, "a GPU was free while a second job of its holder ran"
    assert take_label(slots) == "GPU 0", "a GPU on which our own job computes counted as another's"
    machine.set(gpu(0))
    slots.give_back(found[2])
    assert take_label(other) is None
    cores = int(found[0].environment["OMP_NUM_THREADS"])
    alone = runner(machine, tmp_path / "elsewhere").take()
    assert alone is not None and cores <= int(alone.environment["OMP_NUM_THREADS"])


def test_the_requested_number_of_free_gpus_is_left_to_others(tmp_path: Path) -> None:
    machine = Machine(gpu(0), gpu(1), gpu(2), gpu(3, 9000, (77,)))
    slots = runner(machine, tmp_path, leave_free=1)
    assert [take_label(slots) for _ in range(3)] == ["GPU 0", "GPU 1", None]


def test_gpus_are_given_up_after_others_have_had_none_for_a_while(tmp_path: Path) -> None:
    machine, now = Machine(gpu(0), gpu(1), gpu(2)), [0.0]
    slots = runner(machine, tmp_path, leave_free=1, clock=lambda: now[0])
    assert [take_label(slots), take_label(slots)] == ["GPU 0", "GPU 1"]
    for index in (0, 1):
        machine.set(gpu(index, 6000, (os.getpid(),)))  # our own jobs
    assert slots.wanted_by_others() == 0
    machine.set(gpu(2, 9000, (77,)))
    assert slots.wanted_by_others() == 0, "gave way at once"
    now[0] = gpus._YIELD_SECONDS
    assert slots.wanted_by_others() == 1
    assert slots.wanted_by_others() == 0, "gave way twice for one"
    machine.set(gpu(2))
    now[0] = 3 * gpus._YIELD_SECONDS
    assert slots.wanted_by_others() == 0


def test_the_gpu_of_a_killed_runner_stays_locked_until_its_command_ends(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, os, signal\n"
        "from pathlib import Path\n"
        "from tinynet.jobs.gpus import Gpu, Gpus\n"
        "found = [Gpu(0, 'GPU-00', 'x', 24000, 23900)]\n"
        "slot = Gpus(found, look=lambda: found, locks=Path(sys.argv[1])).take()\n"
        "child = subprocess.Popen(['sleep', '60'], pass_fds=slot.descriptors,"
        " stdout=subprocess.DEVNULL)\n"
        "print(child.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], env=environment, stdout=subprocess.PIPE
    )
    machine = Machine(gpu(0))
    assert take_label(runner(machine, tmp_path)) is None
    os.kill(int(child.stdout), 9)
    slots = runner(machine, tmp_path)
    deadline = time.monotonic() + 60
    while take_label(slots) is None:
        assert time.monotonic() < deadline, "the killed command still holds the GPU's lock"


def test_a_symbolic_link_in_place_of_a_lock_file_is_refused(tmp_path: Path) -> None:
    locks = tmp_path / "locks"
    slot = runner(Machine(gpu(0)), locks).take()
    assert slot is not None
    assert (locks.stat().st_mode & 0o7777) == 0o1777
    (tmp_path / "precious").write_text("x")
    (locks / "GPU-11.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match="GPU-11"):
        runner(Machine(gpu(1)), locks).take()


def test_only_gpus_that_are_both_named_and_visible_are_used() -> None:
    found = [gpu(0), gpu(1), gpu(2)]
    assert chosen(found, None, None) == chosen(found, "all", None) == found
    assert chosen(found, "2,GPU-00", None) == [found[2], found[0]]
    assert chosen(found, None, "1, 2") == [found[1], found[2]]
    assert chosen(found, None, "1,-1,2") == [found[1]], "as CUDA reads it"
    for hidden in ("", "-1", "NoDevFiles"):
        assert chosen(found, None, hidden) == []
        with pytest.raises(UsageError, match=f"all: none may be used.*DEVICES is '{hidden}'"):
            chosen(found, "all", hidden)
    with pytest.raises(
        UsageError, match=r"--gpus: no GPU '7' here; the GPUs are 0 \(Stand-in\), 1"
    ):
        chosen(found, "7,", None)
    # as in 'tinynet train --gpu 0', the first of those that may be seen
    assert chosen(found, "0,", "2,1") == [found[2]]
    for wanted in ("2,", "GPU-00"):
        with pytest.raises(UsageError, match=rf"DEVICES=1,2: no GPU '{wanted.strip(',')}' here"):
            chosen(found, wanted, "1,2")


def test_a_single_number_is_a_count_of_gpus_as_in_train() -> None:
    found = [gpu(0), gpu(1), gpu(2)]
    assert chosen(found, "2", None) == found[:2]
    assert chosen(found, "1", "2,1") == [found[2]]
    with pytest.raises(UsageError, match=r"--gpus 2: 1 may be used here; GPU 2 alone is --gpu 2"):
        chosen(found, "2", "0")


# ------------------------------------------------------------------ NVML's own functions


class FakeNvml(types.ModuleType):
    """The functions of ``pynvml`` that we use, for one or two GPUs, with text as bytes."""

    class NVMLError(Exception):
        pass

    def __init__(self, error: str | None = None) -> None:
        super().__init__("pynvml")
        self.error = error
        self.open = 0
        self.slices: tuple[int, ...] | None = None  # of a GPU without MIG
        self.in_mig_mode = True
        self.count, self.lost = 1, set[int]()

    def nvmlInit(self) -> None:
        if self.error:
            raise self.NVMLError(self.error)
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetMemoryInfo(self, device: int) -> Any:
        if device in self.lost:
            raise self.NVMLError("GPU is lost")
        return types.SimpleNamespace(total=16 << 30, free=10 << 30, used=6 << 30)

    def nvmlDeviceGetComputeRunningProcesses(self, device: int) -> list[Any]:
        return [types.SimpleNamespace(pid=77)]

    def nvmlDeviceGetUUID(self, device: int) -> bytes:
        return b"GPU-abc" if device < 100 else b"MIG-%d" % device

    def nvmlDeviceGetMigMode(self, device: int) -> list[int]:
        if self.slices is None:
            raise self.NVMLError("Not Supported")
        return [int(self.in_mig_mode), 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, device: int) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, device: int, number: int) -> int:
        if number not in (self.slices or ()):
            raise self.NVMLError("Not Found")
        return 100 + number

    def nvmlDeviceGetName(self, device: int) -> bytes:
        return b"Old card"


def test_gpus_are_listed_from_nvmls_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    whole = Gpu(0, "GPU-abc", "Old card", 16384, 10240, (77,))
    assert gpus.look() == [whole]
    fake.slices, fake.in_mig_mode = (), False
    assert gpus.look() == [whole]
    fake.in_mig_mode = True  # without a slice: nothing can compute there
    assert gpus.look() == []
    fake.slices = (0, 3)
    parts = [replace(whole, uuid=uuid, is_slice=True) for uuid in ("MIG-100", "MIG-103")]
    assert gpus.look() == parts
    assert fake.open == 0


def test_a_lost_gpu_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    fake.count, fake.lost = 2, {0}
    (found,) = gpus.look()
    assert found.index == 1
    fake.lost = {0, 1}
    with pytest.raises(TinynetError, match="NVML: GPU 0: GPU is lost; GPU 1: GPU is lost"):
        gpus.look()
    assert fake.open == 0


def test_the_fake_nvml_has_only_functions_of_the_real_package() -> None:
    pynvml = pytest.importorskip("pynvml")
    assert [name for name in dir(FakeNvml) if name.startswith("nvml") and not hasattr(pynvml, name)
            ] == []  # fmt: skip
    assert issubclass(pynvml.NVMLError, Exception)


def test_jobs_run_on_the_cpu_where_every_gpu_is_hidden_from_cuda(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "has_driver", lambda: True)
    monkeypatch.setattr(gpus, "look", lambda: [gpu(0)])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert gpus.are_here()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "NoDevFiles")
    add_jobs(folder, [Job("a", (("stages", "--json"),))])
    done = command.run("jobs", "local", folder)
    assert done.status == 0 and "a: begins on CPU share 1 of 1" in done.stderr
    assert command.run("jobs", "local", folder, "--gpus", "all").status == 2


@pytest.mark.parametrize("missing", ["package", "driver"])
def test_without_nvml_the_message_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    nvml = None if missing == "package" else FakeNvml("Driver Not Loaded")
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    with pytest.raises(TinynetError, match="tinynet.gpu" if nvml is None else "--processes N"):
        gpus.look()
    add_jobs(folder, [Job("a", (("stages",),))])
    assert command.run("jobs", "local", folder, "--gpus", "all").status == 1


def test_jobs_run_on_free_gpus_and_the_rest_wait_for_one(folder: Path, tmp_path: Path) -> None:
    add_jobs(folder, [Job(name, (("train", "none.prototxt"),)) for name in ("a", "b", "c")])
    machine = Machine(gpu(0), gpu(1, 9000, (77,)))
    machine.at_look = {4: replace(gpu(1), name="free at last")}
    slots = Gpus(list(machine.gpus.values()), look=machine.look, locks=tmp_path / "locks")
    local.run(folder, slots, print)
    assert {found.name for found in states.states(folder).values()} == {"failed"}
    logs = "".join((folder / f"logs/{name}.log").read_text() for name in "abc")
    assert logs.count("$ tinynet train none.prototxt --gpu 0") == 3
    assert "on GPU 0\n" in logs and "on GPU 1\n" in logs


def test_a_broken_gpu_fails_one_job_and_gets_no_more(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a failure it is idle again at once, and would otherwise get job after job."""
    add_jobs(folder, [Job(name, (("train", "none.prototxt"),)) for name in ("a", "b", "c")])
    machine = Machine(gpu(0), gpu(1))
    slots = Gpus(list(machine.gpus.values()), look=machine.look, locks=tmp_path / "locks")
    monkeypatch.setattr(local, "is_of_a_broken_gpu", lambda message: "none.prototxt" in message)
    messages: list[str] = []
    with pytest.raises(TinynetError, match="2 of 2 GPUs do not compute, and a job takes 1; look"):
        local.run(folder, slots, messages.append)
    assert {name: found.name for name, found in states.states(folder).items()} == {
        "a": states.FAILED, "b": states.FAILED, "c": states.WAITING
    }  # fmt: skip
    assert sorted(line for line in messages if "no more jobs" in line) == [
        f"GPU {number} gets no more jobs of this runner" for number in (0, 1)
    ]


@pytest.mark.parametrize(
    ("message", "broken"),
    [
        ("GPU 0 cannot be used: CUDA error: all CUDA-capable devices are busy; use the CPU", True),
        ("tinynet: the GPU has failed (CUDA error: unspecified launch failure); nvidia-smi", True),
        ("the GPU has failed (CUDA error: device-side assert triggered); a label", False),
        ("GPU 0 cannot be used: CUDA out of memory. Tried to allocate", False),
        ("the GPU has failed (NCCL error in: NCCLUtils.cpp:93); nvidia-smi", False),
        ("layer 'conv1': the GPU is out of memory; make its batch smaller", False),
        ("cannot use GPU 3: PyTorch 2.13.0+cpu is a CPU build", False),
    ],
)
def test_a_broken_gpu_is_distinguished_from_a_fault_of_the_job(message: str, broken: bool) -> None:
    assert is_of_a_broken_gpu(message) == broken
