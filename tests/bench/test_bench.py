"""The bench: turns, medians, ratios and reported gaps; no test asserts a duration."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.cli.command import run
from tinynet.bench import host, images, on_gpu, parts, subset_search
from tinynet.bench.bench import Bench, plain_torch
from tinynet.bench.competitors import competitors
from tinynet.bench.machine import machine
from tinynet.bench.rounds import HOST, LIMIT, Row, alternate
from tinynet.caffeformat import schema, text
from tinynet.cli import bench as cli
from tinynet.engine import devices
from tinynet.engine.discovery import Engine
from tinynet.engine.process import WorkerProcess
from tinynet.errors import TinynetError

CHILD = """
import json, sys, time
name, dies_at = sys.argv[1], int(sys.argv[2])
print(json.dumps({"event": "ready"}), flush=True)
for number, line in enumerate(iter(sys.stdin.readline, "")):
    if number == dies_at:
        print("not a line of the protocol")
        print(json.dumps({"event": "error", "message": "lost its way"}), flush=True)
        sys.exit(1)
    items = int(line) * (number + 1)
    print(json.dumps({"event": "round", "items": items, "seconds": 2}), flush=True)
"""


def child(name: str, dies_at: int = -1):
    command = [sys.executable, "-c", CHILD, name, str(dies_at)]
    engine = Engine("stand-in", "none", sys.executable, "1")
    return partial(WorkerProcess, engine, command, with_input=True)


def test_contestants_take_turns_and_the_median_counts():
    lines: list[str] = []
    rows = [Row("p", "one", "img"), Row("p", "two", "img", of="one")]
    alternate([(rows[0], child("one"), 4), (rows[1], child("two"), 6)], 3, lines.append)
    assert rows[0].rates == [2, 4, 6] and rows[1].rates == [3, 6, 9]
    assert rows[1].rate == 6 and cli._ratio(rows[1], rows) == 1.5
    turns = [line.rpartition(" ")[2] for line in lines if "round" in line]
    assert turns == ["one", "two"] * 3


def test_a_contestant_that_dies_is_skipped_with_its_reason_and_the_others_go_on():
    good, bad = Row("p", "good", "img"), Row("p", "bad", "img")
    alternate([(bad, child("bad", 1), 1), (good, child("good"), 1)], 3)
    assert bad.rate is None and bad.skipped == "lost its way"
    assert len(good.rates) == 3
    text = cli._table([bad, good], {"processor": "P", "cores": 2, "instructions": [], "gpu": ""})
    assert "skipped: lost its way" in text and text.startswith("P, 2 cores")


def test_the_fraction_of_the_limit_is_useful_work_over_the_float32_matrix_rate():
    limit = Row("t", LIMIT, "FLOP", [100.0])
    other = Row("u", LIMIT, "FLOP", [10.0])
    rows = [other, limit, Row("t", "ours", "img", [8.0], flop=10.0)]
    assert cli._fraction(rows[2], rows) == 0.8
    assert cli._fraction(limit, rows) is None
    assert cli._fraction(rows[2], rows[2:]) is None


def test_on_a_gpu_rounds_are_longer_and_tf32_is_measured_too(tmp_path, monkeypatch):
    work = Bench(tmp_path, tmp_path, 1, True, None, None, lambda _: None, gpu=1)
    work.folder = images.unpacked(None, tmp_path, quick=True)
    worked = {}

    def alternate(entries, *_, **how):
        for row, start, size in entries:
            if start == "none here":
                continue
            given = [str(word) for word in start.args[1]]
            worked[row.part, row.name] = [*given, str(start.keywords.get("variables"))], size
            row.rates = [7.0]
        return [row for row, _, _ in entries]

    monkeypatch.setattr(parts, "alternate", alternate)
    monkeypatch.setattr(on_gpu, "alternate", alternate)
    monkeypatch.setattr(Bench, "caffe", "none here")
    rows = [row for part in ("gemm", "train", "reader", "crops") for row in parts.run(work, part)]
    assert {size for _, size in worked.values()} <= {100, 200, 300, 400, 600, 2000}
    for (part, name), (given, _) in worked.items():
        assert "--gpu=1" in given or "cuda:1" in given, (part, name)
    # each precision with the scripts of that precision, with and without a graph, in two batches
    for batch in (128, 32):
        part = f"train stage 7, batch {batch}"
        for name in ("torchcaffe tf32", "plain PyTorch tf32", "compiled PyTorch tf32"):
            assert "--precision=tf32" in worked[part, name][0], (part, name)
        assert "--compile=reduce-overhead" in worked[part, "compiled PyTorch bf16"][0]
        assert f"--batch={batch}" in worked[part, "plain PyTorch float32"][0]
        given, _ = worked[part, "torchcaffe bf16, no graph"]
        assert "TINYNET_CUDA_GRAPHS" in given[-1] and "0" in given[-1]
        assert "GRAPHS" not in worked[part, "torchcaffe bf16"][0][-1]
        solver = next(word for word in given if word.startswith("--solver=")).partition("=")[2]
        net = text.read(Path(solver).with_name("train_val.prototxt"), schema.NetParameter)
        assert net.layer[0].data_param.batch_size == batch
        ours = next(r for r in rows if (r.part, r.name) == (part, "torchcaffe tf32"))
        assert ours.of == "plain PyTorch tf32"
        assert cli._ratio(ours, [row for row in rows if row.part == part]) == 1
    assert ("gemm", "tf32") in worked
    here = {"processor": "P", "cores": 2, "instructions": [], "gpu": "H100"}
    assert cli._table(rows, here).startswith("P, 2 cores; H100\n")


@pytest.mark.parametrize(("names", "shown"), [([], "GPU 1"), (["A", "B"], "B")])
def test_results_on_a_gpu_without_a_known_name_are_kept(names, shown, monkeypatch):
    monkeypatch.setattr(devices, "cuda_devices", lambda python: names)
    assert machine(1)["gpu"] == shown
    assert machine()["gpu"] == ""


def test_an_absent_gpu_is_refused_before_anything_is_measured():
    done = CliRunner().invoke(cli.bench, ["--gpu", "63", "--only", "gemm"])
    assert isinstance(done.exception, TinynetError) and "GPU 63" in str(done.exception)


def test_ratios_compare_the_same_rounds_when_the_machine_slows_down():
    ours, theirs = Row("p", "a", "img", [8.0, 4.0, 2.0], of="b"), Row("p", "b", "img", [4, 2, 1])
    limit = Row("p", LIMIT, "FLOP", [10.0, 5.0, 2.5])
    ours.flop = 1.0
    assert cli._ratio(ours, [ours, theirs]) == 2
    assert cli._fraction(ours, [ours, theirs, limit]) == pytest.approx(0.8)
    assert ours.times(Row("p", "c", "img")) is None


def test_the_command_offers_exactly_the_parts_that_exist():
    assert tuple(parts.PARTS) == cli.PARTS


def test_the_data_layers_share_is_its_time_per_image_over_that_of_a_training_step(
    tmp_path, monkeypatch
):
    work = Bench(tmp_path, tmp_path, 1, True, None, None, lambda _: None)
    rates = {"train stage 1": [300.0, 200.0, 100.0], "train stage 7": [50.0], "reader": [4000.0]}

    def alternate(entries, rounds, say):
        for row, _, _ in entries:
            row.rates = list(rates[row.part])
        return [row for row, _, _ in entries]

    monkeypatch.setattr(parts, "alternate", alternate)
    folder = images.unpacked(None, tmp_path, quick=True)
    work.folder = folder
    assert parts.run(work, "reader")[0].shares == {}
    parts.run(work, "train")
    rows = parts.run(work, "reader")
    assert rows[0].shares == {"train stage 1": 0.05, "train stage 7": 0.0125}
    text = cli._table(rows, {"processor": "P", "cores": 2, "instructions": [], "gpu": ""})
    assert "5.0 % of a step of train stage 1" in " ".join(text.split())
    assert cli._as_dict(rows[0], rows)["share_of_step"]["train stage 7"] == 0.0125


@pytest.mark.parametrize("rates", [(9.0, 10.0), (10.0, 9.0)])
def test_bfloat16_crops_are_measured_only_where_bfloat16_is_not_slower(
    rates, tmp_path, monkeypatch
):
    work = Bench(tmp_path, tmp_path, 1, True, None, None, lambda _: None)
    work.folder = images.unpacked(None, tmp_path, quick=True)
    work.products = rates
    monkeypatch.setattr(Bench, "caffe", "none here")
    monkeypatch.setattr(parts, "alternate", lambda entries, *_: entries)
    (start,) = (
        start for row, start, _ in parts.run(work, "crops") if row.name.endswith("bfloat16")
    )
    reason = "this processor multiplies matrices in bfloat16 at 0.900 of float32's rate"
    assert start == reason if rates[1] < rates[0] else callable(start)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_results_measured_before_a_part_fails_are_still_printed(form, monkeypatch):
    def fail(self):
        raise TinynetError("the disk is full")

    monkeypatch.setitem(parts.PARTS, "subsets", lambda bench: [Row("p", "first", "img", [7.0])])
    monkeypatch.setitem(parts.PARTS, "convert", fail)
    chosen = ["--quick", "--only", "subsets", "--only", "convert"]
    monkeypatch.setattr(cli, "PARTS", ("subsets", "convert"))
    done = CliRunner().invoke(cli.bench, [*chosen, *form])
    assert isinstance(done.exception, TinynetError)
    assert "first" in done.stdout and "7.0" in done.stdout


def test_a_failing_caffe_tool_is_skipped_with_one_line_and_not_retried(tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("convert_imageset", "compute_image_mean"):
        (tools / name).write_text(
            f"#!/bin/sh\necho {name} >> {tmp_path}/ran\necho lost >&2\nexit 3\n"
        )
        (tools / name).chmod(0o755)
    folder = images.unpacked(None, tmp_path, quick=True)
    work = Bench(tmp_path, folder, 2, True, None, tools, lambda _: None)
    ours, real = parts.run(work, "convert")
    assert len(ours.rates) == 2 and not ours.skipped
    assert real.rates == [] and real.skipped == "convert_imageset ended with status 3: lost"
    assert (tmp_path / "ran").read_text() == "convert_imageset\n"


def test_useful_operations_are_three_products_per_layer_without_the_input_gradient(tmp_path):
    folder = images.unpacked(None, tmp_path, quick=True)
    work = Bench(tmp_path, folder, 1, True, None, None, lambda _: None)
    _, flop = work.prototxt(1)
    # by hand, for 10 classes: conv1, conv2, conv3, fc1, fc2 (pooling rounds up: 30, 13, 6)
    layers = [60**2 * 50 * 75, 26**2 * 100 * 1250, 11**2 * 200 * 900, 7200 * 400, 400 * 10]
    assert flop == 2 * (3 * sum(layers) - layers[0])


def test_drawn_members_are_probabilities_and_their_average_beats_each():
    members, labels = subset_search.draw_members(5, 2000, 50)
    for p in members:
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-4)
    single = [float((p.argmax(axis=1) == labels).mean()) for p in members]
    together = float((np.sum(members, axis=0).argmax(axis=1) == labels).mean())
    assert 0.2 < max(single) < together < 0.9


def test_without_caffes_tools_our_conversion_is_measured_alone_with_advice(tmp_path):
    empty = tmp_path / "tools"
    empty.mkdir()
    done = run("bench", "--quick", "--only", "convert", "--caffe-tools", empty, "--json")
    assert done.status == 0, done.stderr
    assert "a few minutes" in done.stderr or "under two minutes" in done.stderr
    ours, theirs = json.loads(done.stdout)["rows"]
    assert ours["median"] > 0 and ours["ratio"] is None
    assert theirs["median"] is None and "--caffe-tools" in theirs["skipped"]


@pytest.mark.parametrize(
    "work",
    [
        "shared-crops",
        "host-evaluate",
        *(
            pytest.param(w, marks=pytest.mark.long)
            for w in ("plain-crops", "one-crop", "reader", "train", "host-train")
        ),
    ],
)
def test_every_workload_of_the_worker_completes_a_round(work, tmp_path):
    from tinynet.engine import discovery

    folder = images.unpacked(None, tmp_path, quick=True)
    bench = Bench(tmp_path, folder, 1, True, None, None, lambda _: None)
    paths, _ = bench.prototxt(1)
    given = [f"--model={paths.train_val if work == 'reader' else paths.deploy}"]
    if work.startswith("host-"):
        paths = host.single_images(tmp_path, host.few_images(tmp_path), 1)
    given.append(f"--solver={paths.solver}")
    row = Row("p", work, "img")
    alternate([(row, bench.worker(discovery.find_torch(), work, *given), 1)], 1)
    assert not row.skipped and len(row.rates) == 1
    assert row.note.endswith(" ms") == work.startswith("host-")


@pytest.mark.long  # the compiler alone takes a minute
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler here")
def test_the_plain_script_can_be_compiled(tmp_path):
    work = Bench(tmp_path, tmp_path, 1, True, None, None, print)
    folder = images.unpacked(None, tmp_path, quick=True)
    row = Row("p", "compiled", "img")
    given = ["--batch=2", "--compile=default", "--warm-up=1", "--precision=bf16"]
    alternate([(row, work.plain("train", "1", folder, *given), 1)], 1)
    assert not row.skipped and len(row.rates) == 1


def test_contestants_can_prepare_in_parallel_and_then_take_turns():
    lines: list[str] = []
    rows = [Row("p", "one", "img"), Row("p", "two", "img")]
    entries = [(rows[0], child("one"), 4), (rows[1], child("two"), 6)]
    alternate(entries, 2, lines.append, at_once=True)
    assert [row.rates for row in rows] == [[2, 4], [3, 6]]
    assert [line.split(": ")[1] for line in lines[:4]] == [
        *("preparing one", "preparing two", "waiting for one", "waiting for two")
    ]


@pytest.mark.parametrize("what", ["host-train", "host-evaluate"])
def test_host_time_of_the_plain_script_is_measured_as_the_engines_is(what):
    row = Row("p", "plain", HOST)
    alternate([(row, plain_torch("meta", what, "1"), 2)], 1)
    assert not row.skipped
    number, words, _ = re.fullmatch(
        r"(\d+) (torch calls, by themselves) (\S+) ms", row.note
    ).groups()
    assert words and int(number) > 20
    here = {"processor": "P", "cores": 2, "instructions": [], "gpu": ""}
    assert "host ms/iteration" in cli._table([row], here)


def test_a_named_interpreter_without_caffe_is_an_error_and_not_skipped(tmp_path):
    done = run("bench", "--quick", "--only", "reader", "--caffe-python", tmp_path / "absent")
    assert done.status == 1 and done.stdout == ""
    assert "absent, which is not a Python that imports caffe" in done.stderr


def test_a_missing_data_set_is_wrong_use(tmp_path):
    done = run("bench", "--quick", "--only", "convert", "--data", tmp_path / "absent")
    assert done.status == 2 and "no such folder or zip" in done.stderr


def test_each_part_runs_beside_the_requested_busy_processes_and_says_so(tmp_path, monkeypatch):
    seen = []

    def company(self):
        here = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
        commands = [Path(f"/proc/{pid}/cmdline").read_text() for pid in here.read_text().split()]
        seen.append(sum("os.getppid() == parent" in command for command in commands))
        return [Row("p", "n", "img", [1.0])]

    monkeypatch.setitem(parts.PARTS, "reader", company)
    for busy in (0, 2):
        work = Bench(tmp_path, tmp_path, 1, True, None, None, print, busy=busy)
        work.__dict__["data"] = None  # already there
        rows = parts.run(work, "reader")
    assert seen == [0, 2]
    here = {"processor": "P", "cores": 2, "instructions": [], "gpu": ""}
    assert cli._table(rows, here, 2).startswith("P, 2 cores; beside 2 busy processes\n")
    assert "beside" not in cli._table(rows, here).splitlines()[0]


def test_a_competitor_computes_on_one_thread_until_its_block_ends():
    def ticks(pid):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])

    with competitors(1) as (pid,):
        before, end = ticks(pid), time.monotonic() + 60
        while ticks(pid) < before + 5 and time.monotonic() < end:
            time.sleep(0.05)
        assert ticks(pid) >= before + 5
        (threads,) = re.findall(r"Threads:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        assert threads == "1"
    assert not Path(f"/proc/{pid}").exists()
